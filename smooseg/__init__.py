"""SmooSeg on cached features: unsupervised semantic segmentation with a smoothness prior."""

__version__ = "0.1.0"
