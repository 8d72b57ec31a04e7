"""The fused operations of the model, one a file: a plain float32 reference, a path for CPUs, Triton kernels,
gradients.

Shapes are in the names: T tokens of all documents laid end to end, D width, N query heads, M key and value heads, H
head width, R half of it, E experts, K experts a token, S = T K rows sorted by expert, F width of an expert, G = 2F gate
and up packed, V vocabulary.
"""

from model.kernels.adamw import adamw_step
from model.kernels.attention import BlockSparse, Dense, Pattern, Window, attention
from model.kernels.cross_entropy import IGNORED, CrossEntropy, linear_cross_entropy
from model.kernels.grouped_gemm import grouped_gemm
from model.kernels.linear import linear
from model.kernels.rms_norm import rms_norm
from model.kernels.rope import rotate
from model.kernels.router import ExpertOrder, Routing, route, sort_by_expert
from model.kernels.swiglu import swiglu

__all__ = [
    "IGNORED",
    "BlockSparse",
    "CrossEntropy",
    "Dense",
    "ExpertOrder",
    "Pattern",
    "Routing",
    "Window",
    "adamw_step",
    "attention",
    "grouped_gemm",
    "linear",
    "linear_cross_entropy",
    "rms_norm",
    "rotate",
    "route",
    "sort_by_expert",
    "swiglu",
]
