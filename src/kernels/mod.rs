//! What fitch computes beside libtorch, or through its side doors: slices of tensor memory, matrix products,
//! libtorch's own threads, cross-entropy, operators that tch does not bind, and the container of TorchScript.
//! The room knows nothing of what it is used for.

pub(crate) mod cross_entropy;
pub(crate) mod mask;
pub(crate) mod matmul;
pub(crate) mod named_tensors;
pub(crate) mod script;
pub(crate) mod tensor_slice;
pub(crate) mod thread_priority;
pub(crate) mod threads;
pub(crate) mod torch_ops;
pub(crate) mod update;
