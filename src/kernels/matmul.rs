//! Matrix products, faster on a CPU than libtorch's `mm`.
//!
//! `mm` goes to MKL, which leaves AVX-512 unused on AMD's processors. For the layers of the reference
//! network, on 2 cores of a Zen 4: with the second factor transposed, as in a dense layer's forward pass,
//! oneDNN's operator takes 0.9 of MKL's time; otherwise the gemm crate takes 0.8 to 0.88 of it, each thread
//! computing its part of the result. (The other way round, oneDNN takes 0.88 to 1.1, gemm 0.9 to 1.5.)

use crate::kernels::has_own_code;
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

fn has_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

fn is_single_on_cpu(tensor: &Tensor) -> bool {
    tensor.kind() == Kind::Float && has_own_code(tensor.device())
}

/// The product [m, n] of two matrices [m, k] and [k, n] of one type on one device, whatever their strides.
///
/// # Errors
/// Shapes that do not fit, or too little memory.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !(is_single_on_cpu(a) && is_single_on_cpu(b)) {
        return Ok(a.f_mm(b)?);
    }
    let (a, b) = (Matrix::of(a)?, Matrix::of(b)?);
    ensure!(a.columns == b.rows, "a matrix of {} columns times one of {} rows", a.columns, b.rows);
    let result = Tensor::f_empty([a.rows as i64, b.columns as i64], (Kind::Float, Device::Cpu))?;
    let out = Matrix::of(&result)?;
    // Each thread computes a range of rows or of columns, whichever makes it closer to a square.
    let by_columns = out.columns >= 2 * out.rows;
    let whole = if by_columns { out.columns } else { out.rows };
    let size = whole.div_ceil(threads()).max(1);
    for_each_index(whole.div_ceil(size), |part| {
        let (start, end) = (part * size, ((part + 1) * size).min(whole));
        let (a, b, out) = match by_columns {
            true => (a, b.columns(start, end), out.columns(start, end)),
            false => (a.rows(start, end), b, out.rows(start, end)),
        };
        // The kernel wants its result by columns: (a b)ᵀ = bᵀ aᵀ.
        let (a, b, out) = match out.column_stride < out.row_stride {
            true => (b.transposed(), a.transposed(), out.transposed()),
            false => (a, b, out),
        };
        // SAFETY: addresses, sizes and strides are those of live tensors whose shapes fit; the result is new,
        // and its parts do not overlap.
        unsafe {
            gemm_f32::gemm::f32::get_gemm_fn()(
                out.rows,
                out.columns,
                a.columns,
                out.start.cast_mut(),
                out.column_stride,
                out.row_stride,
                false,
                a.start,
                a.column_stride,
                a.row_stride,
                b.start,
                b.column_stride,
                b.row_stride,
                0.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    });
    Ok(result)
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
