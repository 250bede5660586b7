"""The cache, and the only package that touches Zarr: chunked, checksummed, resumable, with provenance."""

from .array import COMPLETE, Store, open_store
from .create import CIRCUMSTANCES, CODECS, create_store, decisive_provenance

__all__ = ["CIRCUMSTANCES", "CODECS", "COMPLETE", "Store", "create_store", "decisive_provenance", "open_store"]
