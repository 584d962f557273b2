//! The one computation of all convolutions: sums of products of one value with a row of neighbouring values,
//! for a few values at a time, all of whose sums stay in registers.
//!
//! Of 16 lanes, AVX-512 holds a sum in one register, AVX2 in two. With 12 or 6 items the sums fill most of the
//! registers, and the processor multiplies and adds without waiting: 95 % of its limit on both.

use crate::kernels::processor::{has_avx512, has_bfloat16_products};
use crate::kernels::tensor_slice::Real;
use half::bf16;
use multiversion::multiversion;
use std::ops::Range;

/// The number of sums side by side. The last ones of a result may be computed as half of that.
pub const LANES: usize = 16;

/// How two operands are walked through. For each item and lane, over all rows and steps, the sum at
/// `item * sums_item + lane` is that of
///
/// `a[row * a_row + step * a_step + item * a_item] * b[row * b_row + step * b_step + lane]`.
///
/// Of bfloat16, each of these products is the sum of two: those of a pair of neighbouring values.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// At least 1.
    pub items: usize,
    pub rows: usize,
    pub steps: usize,
    pub a_row: usize,
    pub a_step: usize,
    pub a_item: usize,
    pub b_row: usize,
    pub b_step: usize,
    pub sums_item: usize,
}

/// What sums begin with.
#[derive(Clone, Copy)]
pub enum Start<'a, const L: usize> {
    /// With what is there already.
    There,
    /// With the same values for each item; afterwards, sums below the limit are set to it.
    With { initial: &'a [f32; L], at_least: f32 },
}

/// A number that is multiplied.
pub trait Factor: Real {
    /// How many neighbouring numbers of `a` are multiplied with as many of `b`, for one sum.
    const WIDTH: usize;

    /// Computes the sums of `L` lanes, 16 or 8.
    fn accumulate<const L: usize>(walk: &Walk, a: &[Self], b: &[Self], start: Start<L>, sums: &mut [f32]);
}

impl Walk {
    /// Ends the program if a walk would leave an operand.
    fn check<F: Factor>(&self, lanes: usize, a: &[F], b: &[F], sums: &[f32]) {
        let last = |row: usize, step: usize| (self.rows - 1) * row + (self.steps - 1) * step;
        let last_item = self.items - 1;
        assert!(last_item * self.sums_item + lanes <= sums.len(), "{self:?} leaves {} sums", sums.len());
        if self.rows > 0 && self.steps > 0 {
            let a_end = last(self.a_row, self.a_step) + last_item * self.a_item + F::WIDTH;
            let b_end = last(self.b_row, self.b_step) + lanes * F::WIDTH;
            assert!(a_end <= a.len() && b_end <= b.len(), "{self:?} leaves {} or {}", a.len(), b.len());
        }
    }
}

/// As few parts of at most `max` as there can be, none much shorter than the others.
pub fn parts(count: usize, max: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = count.div_ceil(max);
    (0..parts).map(move |part| part * count / parts..(part + 1) * count / parts)
}

/// How many items are computed together at most: their sums fill three quarters of the registers.
fn max_items() -> usize {
    if cfg!(target_arch = "x86_64") && !has_avx512() { 6 } else { 12 }
}

/// Calls a function with the items of a walk, part by part. Its first generic constant is their number.
macro_rules! for_each_part {
    ($walk:ident, $function:ident, $lanes:ident, $a:ident, $b:ident, $start:ident, $sums:ident) => {
        for part in parts($walk.items, max_items()) {
            let a = $a.wrapping_add(part.start * $walk.a_item);
            let sums = $sums.wrapping_add(part.start * $walk.sums_item);
            match part.len() {
                1 => $function::<1, $lanes>($walk, a, $b, $start, sums),
                2 => $function::<2, $lanes>($walk, a, $b, $start, sums),
                3 => $function::<3, $lanes>($walk, a, $b, $start, sums),
                4 => $function::<4, $lanes>($walk, a, $b, $start, sums),
                5 => $function::<5, $lanes>($walk, a, $b, $start, sums),
                6 => $function::<6, $lanes>($walk, a, $b, $start, sums),
                7 => $function::<7, $lanes>($walk, a, $b, $start, sums),
                8 => $function::<8, $lanes>($walk, a, $b, $start, sums),
                9 => $function::<9, $lanes>($walk, a, $b, $start, sums),
                10 => $function::<10, $lanes>($walk, a, $b, $start, sums),
                11 => $function::<11, $lanes>($walk, a, $b, $start, sums),
                12 => $function::<12, $lanes>($walk, a, $b, $start, sums),
                items => unreachable!("{items} items at once"),
            }
        }
    };
}

impl Factor for f32 {
    const WIDTH: usize = 1;

    fn accumulate<const L: usize>(walk: &Walk, a: &[f32], b: &[f32], start: Start<L>, sums: &mut [f32]) {
        walk.check(L, a, b, sums);
        // SAFETY: the walk stays within all three.
        unsafe { single(walk, a.as_ptr(), b.as_ptr(), start, sums.as_mut_ptr()) }
    }
}

/// # Safety
/// The walk must stay within the operands and the sums.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
unsafe fn single<const L: usize>(walk: &Walk, a: *const f32, b: *const f32, start: Start<L>, sums: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { for_each_part!(walk, single_part, L, a, b, start, sums) }
}

/// # Safety
/// As for [`single`].
#[inline(always)]
unsafe fn single_part<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    a: *const f32,
    b: *const f32,
    start: Start<L>,
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut kept = begin::<ITEMS, L>(walk, start, sums);
        for row in 0..walk.rows {
            let (mut a, mut b) = (a.wrapping_add(row * walk.a_row), b.wrapping_add(row * walk.b_row));
            for _ in 0..walk.steps {
                let lanes = b.cast::<[f32; L]>().read();
                for (item, kept) in kept.iter_mut().enumerate() {
                    let value = a.add(item * walk.a_item).read();
                    for (sum, lane) in kept.iter_mut().zip(lanes) {
                        *sum = value.mul_add(lane, *sum);
                    }
                }
                a = a.wrapping_add(walk.a_step);
                b = b.wrapping_add(walk.b_step);
            }
        }
        end(walk, kept, start, sums);
    }
}

/// # Safety
/// As for [`single`].
#[inline(always)]
unsafe fn begin<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    start: Start<L>,
    sums: *const f32,
) -> [[f32; L]; ITEMS] {
    match start {
        // SAFETY: the caller's promise.
        Start::There => unsafe {
            std::array::from_fn(|item| sums.add(item * walk.sums_item).cast::<[f32; L]>().read())
        },
        Start::With { initial, .. } => [*initial; ITEMS],
    }
}

/// # Safety
/// As for [`single`].
#[inline(always)]
unsafe fn end<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    mut kept: [[f32; L]; ITEMS],
    start: Start<L>,
    sums: *mut f32,
) {
    if let Start::With { at_least, .. } = start {
        for kept in &mut kept {
            // NaN stays.
            kept.iter_mut().for_each(|sum| *sum = if *sum < at_least { at_least } else { *sum });
        }
    }
    for (item, kept) in kept.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { sums.add(item * walk.sums_item).cast::<[f32; L]>().write(kept) };
    }
}

impl Factor for bf16 {
    const WIDTH: usize = 2;

    fn accumulate<const L: usize>(walk: &Walk, a: &[bf16], b: &[bf16], start: Start<L>, sums: &mut [f32]) {
        walk.check(L, a, b, sums);
        let (a, b, sums) = (a.as_ptr(), b.as_ptr(), sums.as_mut_ptr());
        #[cfg(target_arch = "x86_64")]
        if L == LANES && has_bfloat16_products() {
            // SAFETY: the walk stays within all three, and the processor has the instructions.
            return unsafe { for_each_part!(walk, pairs_avx512, L, a, b, start, sums) };
        }
        // SAFETY: the walk stays within all three.
        unsafe { for_each_part!(walk, pairs, L, a, b, start, sums) }
    }
}

/// # Safety
/// As for [`single`]; there must be 16 lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pairs_avx512<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    a: *const bf16,
    b: *const bf16,
    start: Start<L>,
    sums: *mut f32,
) {
    use std::arch::x86_64::{
        __m512bh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_ps,
    };
    // SAFETY: the caller's promise. 16 values are as long as a register of 512 bits, of which any bits are a
    // value, whatever its type.
    unsafe {
        let mut there = begin::<ITEMS, L>(walk, start, sums);
        let mut kept = there.each_ref().map(|sums| _mm512_loadu_ps(sums.as_ptr()));
        for row in 0..walk.rows {
            let (mut a, mut b) = (a.wrapping_add(row * walk.a_row), b.wrapping_add(row * walk.b_row));
            for _ in 0..walk.steps {
                let lanes: __m512bh = std::mem::transmute(_mm512_loadu_si512(b.cast()));
                for (item, kept) in kept.iter_mut().enumerate() {
                    let pair = a.add(item * walk.a_item).cast::<i32>().read_unaligned();
                    let pair: __m512bh = std::mem::transmute(_mm512_set1_epi32(pair));
                    *kept = _mm512_dpbf16_ps(*kept, pair, lanes);
                }
                a = a.wrapping_add(walk.a_step);
                b = b.wrapping_add(walk.b_step);
            }
        }
        for (sums, kept) in there.iter_mut().zip(kept) {
            _mm512_storeu_ps(sums.as_mut_ptr(), kept);
        }
        end(walk, there, start, sums);
    }
}

/// The same on every processor.
///
/// # Safety
/// As for [`single`].
unsafe fn pairs<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    a: *const bf16,
    b: *const bf16,
    start: Start<L>,
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut kept = begin::<ITEMS, L>(walk, start, sums);
        for row in 0..walk.rows {
            for step in 0..walk.steps {
                let a = a.add(row * walk.a_row + step * walk.a_step);
                let b = b.add(row * walk.b_row + step * walk.b_step);
                for (item, kept) in kept.iter_mut().enumerate() {
                    let [x, y] = a.add(item * walk.a_item).cast::<[bf16; 2]>().read();
                    for (lane, sum) in kept.iter_mut().enumerate() {
                        let [v, w] = b.add(2 * lane).cast::<[bf16; 2]>().read();
                        *sum += x.single() * v.single() + y.single() * w.single();
                    }
                }
            }
        }
        end(walk, kept, start, sums);
    }
}
