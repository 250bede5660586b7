"""How inner loops are compiled: without Python's lock, so that threads share the cores, and kept for the next process.

numba vectorises loops over long arrays, but not over the few values of one row: a row is a type of its own here, one
vector register, which makes the loops over a lattice's vertices seven times as fast.
"""

import numba
from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

BLOCK = 8  # values in a row: 256 bits

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}  # sums keep their order

VECTOR = ir.VectorType(ir.FloatType(), BLOCK)
UNDEFINED = ir.Constant(VECTOR, ir.Undefined)


def compile_once(function):
    """Compile at the first call, or take what an earlier process compiled; where no folder can be written, anew."""
    try:
        return numba.njit(function, cache=True, **OPTIONS)
    except RuntimeError:
        return numba.njit(function, **OPTIONS)


class Row(types.Type):
    """Eight values of float32."""

    def __init__(self):
        super().__init__(name="Row")


ROW = Row()


@register_model(Row)
class RowModel(models.PrimitiveModel):
    """How a row lies in registers."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


def address(context, builder, kinds, values):
    """Pointer to row ``values[1]`` of the contiguous array ``values[0]``, float32 (rows, 8)."""
    array = context.make_array(kinds[0])(context, builder, values[0])
    index = context.cast(builder, values[1], kinds[1], types.intp)
    place = builder.gep(array.data, [builder.mul(index, ir.Constant(index.type, BLOCK))])
    return builder.bitcast(place, VECTOR.as_pointer())


@intrinsic
def load(typing, rows, index):
    """A row of an array."""

    def generate(context, builder, signature, values):
        return builder.load(address(context, builder, signature.args, values), align=4)

    return ROW(rows, index), generate


@intrinsic
def store(typing, rows, index, row):
    """Write a row of an array."""

    def generate(context, builder, signature, values):
        builder.store(values[2], address(context, builder, signature.args, values), align=4)
        return context.get_dummy_value()

    return types.void(rows, index, row), generate


@intrinsic
def every(typing, number):
    """A row of one number."""

    def generate(context, builder, signature, values):
        first = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), None)  # eight times element 0
        row = builder.insert_element(UNDEFINED, values[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(row, UNDEFINED, first)

    return ROW(types.float32), generate


@intrinsic
def add_product(typing, total, one, other):
    """total + one * other."""

    def generate(context, builder, signature, values):
        return builder.fadd(values[0], builder.fmul(*values[1:], flags=["contract"]), flags=["contract"])

    return ROW(total, one, other), generate


@intrinsic
def maximum(typing, one, other):
    """The larger of each pair of values."""

    def generate(context, builder, signature, values):
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return ROW(one, other), generate


@intrinsic
def power_of_two(typing, exponents):
    """2 to the power of whole numbers from -126 to 127."""

    def generate(context, builder, signature, values):
        integers = ir.VectorType(ir.IntType(32), BLOCK)
        biased = builder.add(builder.fptosi(values[0], integers), ir.Constant(integers, [127] * BLOCK))
        return builder.bitcast(builder.shl(biased, ir.Constant(integers, [23] * BLOCK)), VECTOR)

    return ROW(exponents), generate


@intrinsic
def element(typing, row, index):
    """One value of a row."""

    def generate(context, builder, signature, values):
        return builder.extract_element(values[0], context.cast(builder, values[1], signature.args[1], types.int32))

    return types.float32(row, index), generate
