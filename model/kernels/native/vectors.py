"""What Numba's Python has no words for: addresses, vectors, a counter that threads share.

`like` is a 0 of the type that an address leads to: float32 or float64.
"""

from __future__ import annotations

from typing import Any, Final

import llvmlite.binding as llvm
from llvmlite import ir

from curator.kernel import numba

_types = numba.core.types
_cgutils = numba.core.cgutils

WIDE: Final = bool(llvm.get_host_cpu_features().get("avx512f"))
"""Whether the processor has 32 vectors of 64 bytes, else what AVX2 has is taken: 16 of 32 bytes."""
VECTOR_BYTES: Final = 64 if WIDE else 32
TILE_ROWS: Final = 12 if WIDE else 6
TILE_VECTORS: Final = 2
"""A tile of 6 rows and 2 vectors has 12 sums, which leaves AVX2 three registers for a row of b and a number of a; so
does BLIS for this family (Van Zee & van de Geijn 2015, https://doi.org/10.1145/2764454)."""
TILE_BYTES: Final = TILE_VECTORS * VECTOR_BYTES
_GROUP_VECTORS: Final = 4
GROUP_BYTES: Final = _GROUP_VECTORS * VECTOR_BYTES
"""What is looked at together for the largest number: as many vectors as a comparison takes cycles."""
_LINE_BYTES: Final = 64
"""A line of the cache."""


def _register(function: Any) -> Any:
    return numba.core.extending.intrinsic(function)


@_register
def pointer(_context: Any, address: Any, like: Any) -> Any:
    """The address as a pointer to numbers of the type of `like`, as `numba.carray` takes it."""
    like = _types.unliteral(like)
    signature = _types.CPointer(like)(address, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return signature, generate


@_register
def bytes_of(_context: Any, like: Any) -> Any:
    """Bytes of a number of the type of `like`: a constant."""
    signature = _types.int64(like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), signature.args[0].bitwidth // 8)

    return signature, generate


@_register
def number(_context: Any, value: Any, like: Any) -> Any:
    """The value as a number of the type of `like`: an integer beside a float32 would make a float64 of both."""
    like = _types.unliteral(like)
    signature = like(_types.unliteral(value), like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[0], signature.args[0], signature.return_type)

    return signature, generate


@_register
def claim(_context: Any, address: Any) -> Any:
    """Add 1 to the integer at an address, as one operation that no other thread can divide; what it was before."""
    signature = _types.int64(address)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(64)
        place = builder.inttoptr(arguments[0], integer.as_pointer())
        return builder.atomic_rmw("add", place, ir.Constant(integer, 1), "seq_cst")

    return signature, generate


@_register
def float_of_bits(_context: Any, bits: Any) -> Any:
    """The float32 that has these 32 bits."""
    signature = _types.float32(_types.int32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return signature, generate


@_register
def double_of_bits(_context: Any, bits: Any) -> Any:
    """The float64 that has these 64 bits."""
    signature = _types.float64(_types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return signature, generate


@_register
def multiply_tile(
    _context: Any,
    left_rows: Any,
    left_offset: Any,
    left_step: Any,
    panel: Any,
    rows: Any,
    offset: Any,
    depth: Any,
    accumulate: Any,
    like: Any,
) -> Any:
    """Multiply TILE_ROWS rows with a packed panel of TILE_BYTES columns, and store or add what comes out.

    `left_rows` and `rows` are addresses of tables of TILE_ROWS addresses: row i of the left factor begins `left_offset`
    bytes behind its address and has a number every `left_step` bytes; row i of the result is `offset` bytes behind its.
    The panel has `depth` rows of TILE_BYTES. All sums stay in registers.
    """
    integer_type = _types.int64
    signature = _types.void(*[integer_type] * 7, _types.boolean, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left_rows, left_offset, left_step, panel, rows, offset, depth, accumulate, _ = arguments
        number = context.get_value_type(signature.args[-1])
        number_bytes = signature.args[-1].bitwidth // 8
        lanes = VECTOR_BYTES // number_bytes
        vector = ir.VectorType(number, lanes)
        integer = ir.IntType(64)
        product = _cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector] * 3),
            f"llvm.fmuladd.v{lanes}f{8 * number_bytes}",
        )

        def constant(value: int) -> Any:
            return ir.Constant(integer, value)

        def load(address: Any, what: Any, alignment: int) -> Any:
            value = builder.load(builder.inttoptr(address, what.as_pointer()))
            value.align = alignment
            return value

        def vector_at(address: Any) -> Any:
            return builder.inttoptr(address, vector.as_pointer())

        def spread(value: Any) -> Any:
            nothing = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

        left = [
            builder.add(load(builder.add(left_rows, constant(8 * row)), integer, 8), left_offset)
            for row in range(TILE_ROWS)
        ]
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = _cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]), "llvm.prefetch.p0i8"
        )
        results = [
            builder.add(load(builder.add(rows, constant(8 * row)), integer, 8), offset) for row in range(TILE_ROWS)
        ]
        for row in results:
            for line in range(0, TILE_BYTES, _LINE_BYTES):
                place = builder.inttoptr(builder.add(row, constant(line)), byte)
                builder.call(prefetch, [place, *(ir.Constant(flag, n) for n in (1, 3, 1))])
        entry = builder.block
        loop, done = builder.append_basic_block("depth"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        count, shift, row_of_panel = (builder.phi(integer) for _ in range(3))
        sums = [[builder.phi(vector) for _ in range(TILE_VECTORS)] for _ in range(TILE_ROWS)]
        for start, variable in ((constant(0), count), (constant(0), shift), (panel, row_of_panel)):
            variable.add_incoming(start, entry)
        for value in (value for row in sums for value in row):
            value.add_incoming(ir.Constant(vector, [0.0] * lanes), entry)
        columns = [
            load(builder.add(row_of_panel, constant(part * VECTOR_BYTES)), vector, number_bytes)
            for part in range(TILE_VECTORS)
        ]
        new = []
        for row in range(TILE_ROWS):
            factor = spread(load(builder.add(left[row], shift), number, number_bytes))
            new.append(
                [builder.call(product, [factor, columns[part], sums[row][part]]) for part in range(TILE_VECTORS)]
            )
        next_count = builder.add(count, constant(1))
        count.add_incoming(next_count, loop)
        shift.add_incoming(builder.add(shift, left_step), loop)
        row_of_panel.add_incoming(builder.add(row_of_panel, constant(TILE_BYTES)), loop)
        for row in range(TILE_ROWS):
            for part in range(TILE_VECTORS):
                sums[row][part].add_incoming(new[row][part], loop)
        builder.cbranch(builder.icmp_signed("<", next_count, depth), loop, done)
        builder.position_at_end(done)
        with builder.if_else(accumulate) as (add, store):
            for branch, adding in ((add, True), (store, False)):
                with branch:
                    for row in range(TILE_ROWS):
                        for part in range(TILE_VECTORS):
                            place = builder.add(results[row], constant(part * VECTOR_BYTES))
                            value = new[row][part]
                            if adding:
                                value = builder.fadd(load(place, vector, number_bytes), value)
                            builder.store(value, vector_at(place)).align = number_bytes
        return context.get_dummy_value()

    return signature, generate


@_register
def largest_of_groups(_context: Any, address: Any, groups: Any, like: Any) -> Any:
    """The largest number of some groups of GROUP_BYTES, one at least, end to end. A NaN may be passed over: a compiler
    takes no reduction in vectors in which NaN has a say."""
    signature = like(_types.int64, _types.int64, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, groups, _ = arguments
        kind = signature.args[-1]
        vector = ir.VectorType(context.get_value_type(kind), VECTOR_BYTES // (kind.bitwidth // 8))
        integer = ir.IntType(64)

        def load(group: Any) -> list[Any]:
            found = []
            for part in range(_GROUP_VECTORS):
                place = builder.add(group, ir.Constant(integer, part * VECTOR_BYTES))
                found.append(builder.load(builder.inttoptr(place, vector.as_pointer())))
                found[-1].align = kind.bitwidth // 8
            return found

        def larger(left: Any, right: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", left, right), left, right)

        first = load(address)
        entry = builder.block
        loop, done = builder.append_basic_block("groups"), builder.append_basic_block("largest")
        builder.branch(loop)
        builder.position_at_end(loop)
        count, group = builder.phi(integer), builder.phi(integer)
        most = [builder.phi(vector) for _ in first]
        new = [larger(value, old) for value, old in zip(load(group), most, strict=True)]
        next_count = builder.add(count, ir.Constant(integer, 1))
        for variable, start, then in (
            (count, ir.Constant(integer, 0), next_count),
            (group, address, builder.add(group, ir.Constant(integer, _GROUP_VECTORS * VECTOR_BYTES))),
            *zip(most, first, new, strict=True),
        ):
            variable.add_incoming(start, entry)
            variable.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", next_count, groups), loop, done)
        builder.position_at_end(done)
        while len(new) > 1:
            new = [larger(new[place], new[place + 1]) for place in range(0, len(new), 2)]
        numbers = [builder.extract_element(new[0], ir.Constant(ir.IntType(32), lane)) for lane in range(vector.count)]
        found = numbers[0]
        for value in numbers[1:]:
            found = larger(value, found)
        return found

    return signature, generate


@_register
def copy_panel_row(_context: Any, source: Any, target: Any, like: Any) -> Any:
    """Copy TILE_BYTES from one address to another."""
    signature = _types.void(_types.int64, _types.int64, like)

    def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number_bytes = signature.args[-1].bitwidth // 8
        _copy(builder, arguments[0], arguments[1], ir.VectorType(ir.IntType(8), TILE_BYTES), number_bytes)
        return _context.get_dummy_value()

    return signature, generate


@_register
def copy_tile_column(_context: Any, source: Any, target: Any, like: Any) -> Any:
    """Copy TILE_ROWS numbers from one address to another."""
    signature = _types.void(_types.int64, _types.int64, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = signature.args[-1]
        vector = ir.VectorType(context.get_value_type(number), TILE_ROWS)
        _copy(builder, arguments[0], arguments[1], vector, number.bitwidth // 8)
        return context.get_dummy_value()

    return signature, generate


def _copy(builder: Any, source: Any, target: Any, vector: Any, alignment: int) -> None:
    value = builder.load(builder.inttoptr(source, vector.as_pointer()))
    value.align = alignment
    builder.store(value, builder.inttoptr(target, vector.as_pointer())).align = alignment


@_register
def transpose_square(_context: Any, source: Any, source_step: Any, target: Any, target_step: Any, like: Any) -> Any:
    """Transpose a square of numbers, a vector wide; steps from row to row count bytes. By Eklundh's exchanges of ever
    larger squares (1972, https://doi.org/10.1109/T-C.1972.223584)."""
    signature = _types.void(*[_types.int64] * 4, like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, source_step, target, target_step, _ = arguments
        number_bytes = signature.args[-1].bitwidth // 8
        lanes = VECTOR_BYTES // number_bytes
        vector = ir.VectorType(context.get_value_type(signature.args[-1]), lanes)
        mask_type = ir.VectorType(ir.IntType(32), lanes)

        def place(start: Any, step: Any, row: int) -> Any:
            address = builder.add(start, builder.mul(step, ir.Constant(ir.IntType(64), row)))
            return builder.inttoptr(address, vector.as_pointer())

        rows = []
        for row in range(lanes):
            rows.append(builder.load(place(source, source_step, row)))
            rows[-1].align = number_bytes
        side = 1
        while side < lanes:
            upper = [lane if not lane & side else lanes + lane - side for lane in range(lanes)]
            lower = [lane + side if not lane & side else lanes + lane for lane in range(lanes)]
            for row in range(lanes):
                if not row & side:
                    pair = rows[row], rows[row | side]
                    rows[row] = builder.shuffle_vector(*pair, ir.Constant(mask_type, upper))
                    rows[row | side] = builder.shuffle_vector(*pair, ir.Constant(mask_type, lower))
            side *= 2
        for row in range(lanes):
            builder.store(rows[row], place(target, target_step, row)).align = number_bytes
        return context.get_dummy_value()

    return signature, generate
