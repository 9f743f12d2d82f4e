"""Models of Attention All Microbes: tensors in, tensors out.

Names are imported on first use, so that reading a configuration does not import torch. They are listed in
``__init__.pyi``, for this module and for type checkers alike.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
