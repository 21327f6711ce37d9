"""Where OpenDB plugs into other packages. Each module needs the package that it is named for, and nothing else does.

- ``opendb.ext.zarr``: a store for zarr
- ``opendb.ext.cachelib``: a backend for cachelib and Flask-Caching
- ``opendb.ext.langchain``: a byte store for LangChain
- ``opendb.ext.torch``: a map-style dataset for PyTorch's DataLoader (without importing torch)
"""
