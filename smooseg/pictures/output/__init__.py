"""What is written for a picture: masks, overlays, GeoTIFFs, polygons, the legend, the gallery."""
