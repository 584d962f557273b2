//! Matrix products, faster on a CPU than libtorch's `mm`.
//!
//! `mm` goes to MKL, which leaves AVX-512 unused on AMD's processors. For the layers of the reference
//! network, on 2 cores of a Zen 4: with the second factor transposed, as in a dense layer's forward pass,
//! oneDNN's operator takes 0.9 of MKL's time; otherwise the gemm crate takes 0.8 to 0.88 of it, each thread
//! computing its part of the result. (The other way round, oneDNN takes 0.88 to 1.1, gemm 0.9 to 1.5.)

use crate::kernels::has_own_code;
use crate::kernels::processor::{has_avx512, has_bfloat16_products};
use crate::kernels::threads::{for_each_index, threads};
use crate::kernels::torch_ops;
use anyhow::{Context, Result, bail, ensure};
use gemm_common::Parallelism;
use std::sync::LazyLock;
use tch::{CModule, Device, IValue, Kind, Tensor};

/// oneDNN's operator; none if libtorch was built without it, or if the CPU lacks AVX-512: then the last bits of what it
/// computes depend on the number of threads.
static LINEAR: LazyLock<Option<CModule>> = LazyLock::new(|| {
    if !has_avx512() {
        return None;
    }
    const METHODS: &str = "  def linear(self: __torch__.fitch.Linear,
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor) -> Tensor:
    return ops.mkldnn._linear_pointwise(inputs, weight, bias, \"none\", annotate(List[Optional[number]], []), \"\")
";
    torch_ops::load("Linear", METHODS, Device::Cpu).ok()
});

/// Inputs [b, i] times the transposed weight [o, i], plus the bias `[o]`. Autograd records nothing.
///
/// # Errors
/// Shapes or types that do not fit, or too little memory.
pub fn linear(inputs: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let _no_gradient = tch::no_grad_guard();
    if is_emulated(inputs) {
        let [inputs, weight, bias] = [inputs, weight, bias].map(|tensor| tensor.f_to_kind(Kind::Float));
        return Ok(linear(&inputs?, &weight?, &bias?)?.f_to_kind(Kind::BFloat16)?);
    }
    if !is_single_on_cpu(inputs) || inputs.numel() == 0 || weight.numel() == 0 {
        return Ok(inputs.f_linear(weight, Some(bias))?);
    }
    let Some(module) = LINEAR.as_ref() else {
        return Ok(matmul(inputs, &weight.f_tr()?)?.f_add_(bias)?);
    };
    let arguments = [inputs, weight, bias].map(|tensor| IValue::Tensor(tensor.shallow_clone()));
    match module.method_is("linear", &arguments)? {
        IValue::Tensor(outputs) => Ok(outputs),
        other => bail!("libtorch returned {other:?} as a product"),
    }
}

fn is_single_on_cpu(tensor: &Tensor) -> bool {
    tensor.kind() == Kind::Float && has_own_code(tensor.device())
}

/// Whether libtorch would compute with bfloat16 values one by one: as float32, the same takes a fraction of
/// the time.
fn is_emulated(tensor: &Tensor) -> bool {
    tensor.kind() == Kind::BFloat16 && has_own_code(tensor.device()) && !has_bfloat16_products()
}

/// The product [m, n] of two matrices [m, k] and [k, n] of one type on one device, whatever their strides.
///
/// # Errors
/// Shapes that do not fit, or too little memory.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if is_emulated(a) && is_emulated(b) {
        return Ok(matmul(&a.f_to_kind(Kind::Float)?, &b.f_to_kind(Kind::Float)?)?.f_to_kind(Kind::BFloat16)?);
    }
    if !(is_single_on_cpu(a) && is_single_on_cpu(b)) {
        return Ok(a.f_mm(b)?);
    }
    matmul_with(threads(), a, b)
}

/// The same on a CPU, with that number of threads: each bit of the result is the same for any number.
fn matmul_with(threads: usize, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (Matrix::of(a)?, Matrix::of(b)?);
    ensure!(a.columns == b.rows, "a matrix of {} columns times one of {} rows", a.columns, b.rows);
    let result = Tensor::f_empty([a.rows as i64, b.columns as i64], (Kind::Float, Device::Cpu))?;
    let out = Matrix::of(&result)?;
    // Each thread computes a range of rows or of columns, whichever makes it closer to a square.
    let by_columns = out.columns >= 2 * out.rows;
    let (whole, other) = if by_columns { (out.columns, out.rows) } else { (out.rows, out.columns) };
    let parts = threads.min(whole / min_part(other)).max(1);
    let depths = a.columns.div_ceil(MAX_DEPTH);
    for_each_index(parts, |part| {
        let (start, end) = (part * whole / parts, (part + 1) * whole / parts);
        let (a, b, out) = match by_columns {
            true => (a, b.columns(start, end), out.columns(start, end)),
            false => (a.rows(start, end), b, out.rows(start, end)),
        };
        // The kernel wants its result by columns: (a b)ᵀ = bᵀ aᵀ.
        let (a, b, out) = match out.column_stride < out.row_stride {
            true => (b.transposed(), a.transposed(), out.transposed()),
            false => (a, b, out),
        };
        let size = a.columns.div_ceil(depths.max(1));
        for depth in 0..depths.max(1) {
            let (from, to) = ((depth * size).min(a.columns), ((depth + 1) * size).min(a.columns));
            let (a, b, adds) = (a.columns(from, to), b.rows(from, to), depth > 0);
            // SAFETY: addresses, sizes and strides are those of live tensors whose shapes fit; the result is
            // new, and its parts do not overlap.
            unsafe {
                gemm_f32::gemm::f32::get_gemm_fn()(
                    out.rows,
                    out.columns,
                    a.columns,
                    out.start.cast_mut(),
                    out.column_stride,
                    out.row_stride,
                    adds,
                    a.start,
                    a.column_stride,
                    a.row_stride,
                    b.start,
                    b.column_stride,
                    b.row_stride,
                    if adds { 1.0 } else { 0.0 },
                    1.0,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            }
        }
    });
    Ok(result)
}

/// The gemm crate adds up this number of products before it rounds to float32 in memory, or fewer for small
/// results. Larger sums are divided here, so that the size of a part does not matter.
const MAX_DEPTH: usize = 512;

/// The least rows or columns of a part, across which the result has `other`. The gemm crate computes results of
/// up to 256 values, and vectors, in an order of their own: no part of a larger result may be one of these.
fn min_part(other: usize) -> usize {
    const MAX_SMALL: usize = 256;
    (MAX_SMALL / other.max(1) + 1).max(2)
}

/// A matrix in memory.
#[derive(Clone, Copy)]
struct Matrix {
    start: *const f32,
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

// SAFETY: it only describes memory. It is private to this file, and only `matmul` follows its address.
unsafe impl Sync for Matrix {}

impl Matrix {
    fn of(tensor: &Tensor) -> Result<Matrix> {
        let (rows, columns) = tensor.size2().context("not a matrix")?;
        let stride = tensor.stride();
        let (row_stride, column_stride) = (stride[0], stride[1]);
        Ok(Matrix {
            start: tensor.data_ptr().cast_const().cast(),
            rows: rows as usize,
            columns: columns as usize,
            row_stride: row_stride as isize,
            column_stride: column_stride as isize,
        })
    }

    fn transposed(self) -> Matrix {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn rows(self, start: usize, end: usize) -> Matrix {
        let offset = start as isize * self.row_stride;
        Matrix { start: self.start.wrapping_offset(offset), rows: end - start, ..self }
    }

    fn columns(self, start: usize, end: usize) -> Matrix {
        let offset = start as isize * self.column_stride;
        Matrix { start: self.start.wrapping_offset(offset), columns: end - start, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: i64, columns: i64) -> Tensor {
        let count = Tensor::arange(rows * columns, (Kind::Float, Device::Cpu));
        ((count * 0.618).frac() - 0.5).view([rows, columns])
    }

    /// Once, a part of a small result was added up in another order than the whole.
    #[test]
    fn the_number_of_threads_does_not_matter() {
        let bits = |tensor: &Tensor| -> Vec<u32> {
            Vec::<f32>::try_from(tensor.reshape([-1])).unwrap().iter().map(|value| value.to_bits()).collect()
        };
        for rows in [1, 2, 7, 16, 32, 63, 65, 130, 200] {
            for columns in [1, 2, 8, 10, 16, 64, 100, 256] {
                for depth in [1, 2, 3, 64, 256, 700, 1025] {
                    let (a, b) = (matrix(rows, depth), matrix(columns, depth));
                    for (a, b) in [(a.shallow_clone(), b.tr()), (a, b.tr().contiguous())] {
                        let one = bits(&matmul_with(1, &a, &b).unwrap());
                        for threads in [2, 3, 5, 64] {
                            let many = bits(&matmul_with(threads, &a, &b).unwrap());
                            assert!(one == many, "{rows} x {depth} x {columns}, {threads} threads");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn linear_matches_libtorch() {
        assert_eq!(LINEAR.is_some(), has_avx512(), "this libtorch has oneDNN");
        for (batch, inputs, outputs) in [(128, 784, 512), (7, 512, 10), (1, 1, 1), (0, 5, 3), (3, 0, 2)] {
            let (x, weight) = (matrix(batch, inputs), matrix(outputs, inputs));
            let bias = matrix(1, outputs).view([outputs]);
            let (ours, theirs) = (linear(&x, &weight, &bias).unwrap(), x.linear(&weight, Some(&bias)));
            assert_eq!(ours.size(), [batch, outputs]);
            assert!(ours.allclose(&theirs, 1e-4, 1e-4, false), "{batch} {inputs} {outputs}");
        }
        let wrong = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        assert!(linear(&wrong, &Tensor::zeros([4, 5], (Kind::Float, Device::Cpu)), &wrong).is_err());
    }

    #[test]
    fn products_match_libtorch_whatever_the_strides() {
        for (m, k, n) in [(128, 512, 10), (10, 128, 512), (37, 3, 41), (1, 7, 1), (130, 65, 300), (3, 0, 2)] {
            for (a, b) in [
                (matrix(m, k), matrix(k, n)),
                (matrix(k, m).tr(), matrix(k, n)),
                (matrix(m, k), matrix(n, k).tr()),
                (matrix(k, m).tr(), matrix(n, k).tr()),
                (matrix(m, k + 5).narrow(1, 2, k), matrix(k, 1).expand([k, n], false)),
            ] {
                let (ours, theirs) = (matmul(&a, &b).unwrap(), a.mm(&b));
                assert_eq!(ours.size(), [m, n]);
                let distance = f64::try_from((ours - theirs).abs().max()).unwrap();
                assert!(distance <= 1e-4, "{m} {k} {n}: {distance}");
            }
        }
        assert!(matmul(&matrix(2, 3), &matrix(2, 3)).is_err());
        assert!(matmul(&matrix(2, 3), &matrix(3, 1).squeeze()).is_err());
    }
}
