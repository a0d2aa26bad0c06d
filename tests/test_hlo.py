"""What the text of a compiled program is read for: bytes, kernels, and how often a loop runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from hlo import Module, size_of

TEXT = """HloModule jit_f, is_scheduled=true

%pick (p.0: f32[8,100], p.1: s32[8,2]) -> f32[8] {
  %p.0 = f32[8,100]{1,0} parameter(0)
  %p.1 = s32[8,2]{1,0} parameter(1)
  ROOT %g = f32[8]{0} gather(%p.0, %p.1), offset_dims={}, slice_sizes={1,1}
}

%row (r.0: f32[8,100], r.1: s32[]) -> f32[1,100] {
  %r.0 = f32[8,100]{1,0} parameter(0)
  %r.1 = s32[] parameter(1)
  %column = s32[] constant(0)
  ROOT %r = f32[1,100]{1,0} dynamic-slice(%r.0, %r.1, %column), dynamic_slice_sizes={1,100}
}

%product (m.0: f32[8,100], m.1: s32[], m.2: f32[8,100]) -> f32[8,1] {
  %m.0 = f32[8,100]{1,0} parameter(0)
  %m.1 = s32[] parameter(1)
  %m.2 = f32[8,100]{1,0} parameter(2)
  %one = f32[1,100]{1,0} fusion(%m.0, %m.1), kind=kLoop, calls=%row
  ROOT %m = f32[8,1]{1,0} convolution(%m.2, %one), dim_labels=bf_oi->bf
}

%update (u.0: f32[8,100], u.1: f32[1,100]) -> f32[8,100] {
  %u.0 = f32[8,100]{1,0} parameter(0)
  %u.1 = f32[1,100]{1,0} parameter(1)
  %zero = s32[] constant(0)
  ROOT %d = f32[8,100]{1,0} dynamic-update-slice(%u.0, %u.1, %zero, %zero)
}

%body (b: (s32[], f32[8,100])) -> (s32[], f32[8,100]) {
  %b = (s32[], f32[8,100]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%b), index=0
  %x = f32[8,100]{1,0} get-tuple-element(%b), index=1
  %y = f32[8,100]{1,0} negate(%x), metadata={op_name="a (name) with a parenthesis"}
  ROOT %t = (s32[], f32[8,100]{1,0}) tuple(%i, %y)
}

%until (c: (s32[], f32[8,100])) -> pred[] {
  %c = (s32[], f32[8,100]{1,0}) parameter(0)
  %j = s32[] get-tuple-element(%c), index=0
  %n = s32[] constant(5)
  ROOT %less = pred[] compare(%j, %n), direction=LT
}

ENTRY %main (a: f32[8,100], i: s32[8,2]) -> f32[8] {
  %a = f32[8,100]{1,0:T(8,128)} parameter(0), sharding={replicated}
  %i = s32[8,2]{1,0} parameter(1)
  %start = s32[] constant(0)
  %copy-start = (f32[8,100]{1,0:S(1)}, f32[8,100]{1,0}, u32[]{:S(2)}) copy-start(%a)
  %copy-done = f32[8,100]{1,0:S(1)} copy-done(%copy-start)
  %near = f32[8,100]{1,0:S(1)} negate(%copy-done)
  %slice = ((f32[8,100]{1,0}), f32[2,100]{1,0:S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:2], [0:100]}
  %loop = (s32[], /*index=1*/f32[8,100]{1,0}) while(%tuple), condition=%until, body=%body
  %tuple = (s32[], f32[8,100]{1,0}) tuple(%start, %a)
  %picked = f32[8]{0} fusion(%a, %i), kind=kLoop, calls=%pick
  %sliced = f32[8,1]{1,0} fusion(%a, %start, %near), kind=kOutput, calls=%product
  %row = f32[1,100]{1,0} constant({...})
  %updated = f32[8,100]{1,0} fusion(%a, %row), kind=kLoop, calls=%update
  ROOT %all = f32[8]{0} fusion(%picked), kind=kLoop, calls=%pick
}
"""
MATRIX, ROW = 8 * 100 * 4, 100 * 4


def test_sizes():
    assert size_of("f32[8,100]{1,0:T(8,128)}") == MATRIX
    assert size_of("bf16[8,100]{1,0}") == MATRIX / 2
    assert size_of("(pred[], s4[8]{0}, f8e4m3fn[4]{0})") == 1 + 4 + 4
    assert size_of("(f32[8,100]{1,0:T(8,128)S(1)}, u32[]{:S(2)})", far=True) == 4


def _of(*names):
    """The program with these lines of its entry alone."""
    head, entry = TEXT.split("ENTRY")
    kept = [
        line
        for line in entry.splitlines()
        if "main" in line or line == "}" or line.split(" = ")[0].split("%")[-1] in ("a", "i", "start", *names)
    ]
    return Module(head + "ENTRY" + "\n".join(kept)).counts()


def test_a_loop_counts_as_often_as_it_runs():
    assert _of("loop", "tuple") == (5 * 2 * MATRIX, 5 * 2 * MATRIX, 5, 0)


def test_a_loop_whose_trips_are_not_known_is_named():
    module = Module(TEXT.replace("direction=LT", "direction=NE"))
    assert module.counts().endless == 1
    assert Module(TEXT).counts().endless == 0


def test_an_index_moves_what_it_takes():
    found = _of("picked")
    assert found.moved == 8 * 4 + 8 * 2 * 4 + 8 * 4
    assert found.counted == MATRIX + 8 * 2 * 4 + 8 * 4


def test_an_update_in_place_moves_the_update():
    found = _of("row", "updated")
    assert found.moved == 2 * ROW
    assert found.counted == 2 * MATRIX + ROW


def test_the_vector_memory_of_a_tpu_is_near():
    assert _of("copy-start", "copy-done").moved == MATRIX
    assert _of("copy-start", "copy-done", "near").moved == MATRIX
    assert _of("slice").moved == 2 * ROW


def test_kernels():
    assert Module(TEXT).counts().kernels == 5 + 1 + 4


def test_a_product_reads_the_slice_that_is_fused_into_it():
    assert _of("sliced").moved == ROW + 8 * 4 + 4
