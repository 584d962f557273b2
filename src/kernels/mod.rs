//! What fitch computes beside libtorch, or through its side doors: slices of tensor memory, matrix products,
//! libtorch's own threads, pooling, normalisation, cross-entropy, masks, updates of parameters, operators
//! that tch does not bind, the libraries and the driver of CUDA, and the container of TorchScript. The room
//! knows nothing of what it is used for.
//!
//! All of the library's unsafe code is here; the rest of the crate denies it. What it relies on:
//!
//! * **Memory.** A tensor is a handle: views and shallow clones share its memory, and a safe Rust program can
//!   have any number of them. So a mutable slice is made only by `tensor_slice::as_mut_slice`, which is
//!   unsafe, private to this folder, and used where a function either made the tensor itself or holds the
//!   slice without calling anything that could reach the memory in another way. Functions that write to
//!   several tensors (`update`) compare their addresses first and refuse those that overlap. An empty tensor
//!   has no memory, and is an empty slice.
//! * **Shared slices** (`as_slice`) are safe to call within the crate under the same rule: as long as one
//!   lives, nothing is called that could write to the tensor. Memory that is mapped from a file may be
//!   changed by another process, or vanish (SIGBUS) when the file is cut short; that is documented where
//!   files are mapped.
//! * **Threads.** A tensor is not `Sync`. Threads are given slices, or (`matmul`) addresses that do not
//!   overlap where they are written, and all have returned before the tensors can be used again. No call into
//!   libtorch is made from them. Two threads of a caller that hold handles to one tensor race in tch itself;
//!   no check here can see that.
//! * **Foreign functions**: `GOMP_parallel` of libgomp (`threads`), with its stable signature; the
//!   initialisers of the libraries that `cuda_libraries` and `cuda_driver` load, and functions of CUDA and
//!   NVML; setters of libtorch's context (`float32_math`) and of its autocast (`autocast`); `gemm`, with sizes
//!   and strides of live tensors.

pub(crate) mod autocast;
pub(crate) mod convolution;
pub(crate) mod cross_entropy;
pub(crate) mod cuda_driver;
pub(crate) mod cuda_libraries;
pub(crate) mod float32_math;
pub(crate) mod mask;
pub(crate) mod matmul;
pub(crate) mod named_tensors;
pub(crate) mod normalization;
pub(crate) mod pooling;
pub(crate) mod predictions;
pub(crate) mod process;
pub(crate) mod processor;
pub(crate) mod script;
pub(crate) mod tensor_slice;
pub(crate) mod threads;
pub(crate) mod torch_ops;
pub(crate) mod update;

use tch::Device;

/// Whether fitch computes on a device by code of its own. On others, CUDA devices above all, the same is left
/// to libtorch's operators. Tests can choose that for a CPU, too ([`without_own_code`]).
pub(crate) fn has_own_code(device: Device) -> bool {
    #[cfg(test)]
    if IS_WITHOUT_OWN_CODE.get() {
        return false;
    }
    device == Device::Cpu
}

#[cfg(test)]
thread_local! {
    static IS_WITHOUT_OWN_CODE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Does work on the CPU as it is done on a CUDA device.
#[cfg(test)]
pub(crate) fn without_own_code<T>(work: impl FnOnce() -> T) -> T {
    IS_WITHOUT_OWN_CODE.set(true);
    let done = work();
    IS_WITHOUT_OWN_CODE.set(false);
    done
}
