//! Faults of training that a caller can act on. They come inside an [`anyhow::Error`]:
//! `error.downcast_ref::<Fault>()` finds them, whatever context was added.
//!
//! Where libtorch refuses an operation, tch's own methods panic (`forward`, `+`, all that do not begin with
//! `f_`), and so do layers, losses and metrics that are made of them. Here such a panic becomes an error.
//! Other panics are programming errors and go on as they are.

use crate::device::is_out_of_memory;
use anyhow::{Error, Result};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use tch::TchError;

/// What went wrong; libtorch's own message, where there is one, is the cause of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The memory of the CPU or of a CUDA device is not enough: a smaller batch size needs less.
    OutOfMemory,
    /// A CUDA device reported an error. This process cannot use it any more; a new one goes on from the last
    /// checkpoint.
    DeviceLost,
    /// Data, model, loss and metrics do not fit together: shapes, types, or labels out of range. Found before
    /// the first step.
    BatchDoesNotFit(
        /// What does not fit, with shapes and types.
        String,
    ),
    /// The optimizer moves other variables than those that are fitted.
    OtherVariables,
    /// No variable that is fitted is trainable.
    NothingToTrain,
    /// libtorch refused an operation in a layer, a loss, a metric or a callback.
    Operation,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Fault::OutOfMemory => "memory ran out",
            Fault::DeviceLost => "the device failed",
            Fault::BatchDoesNotFit(what) => what,
            Fault::OtherVariables => {
                "the optimizer moves other variables than those that are fitted: make it from the same store, \
                 after the model"
            }
            Fault::NothingToTrain => "none of the variables is trainable: unfreeze some, or create the model first",
            Fault::Operation => "libtorch refused an operation",
        })
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The fault that a message of libtorch's is about.
    pub(super) fn of(message: &str) -> Fault {
        if is_out_of_memory(message) {
            Fault::OutOfMemory
        } else if message.contains("CUDA error") {
            Fault::DeviceLost
        } else {
            Fault::Operation
        }
    }
}

/// Does work in which libtorch's faults, panics and errors alike, become errors with a [`Fault`]. Nothing is
/// printed for them.
pub fn catch<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_panic(work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(fault)) => Err(with_type(without_trace(fault))),
        Err(message) => {
            let fault = Fault::of(&message);
            Err(Error::new(TchError::Torch(message)).context(fault))
        }
    }
}

/// Cuts libtorch's message at the root of an error to its first line; a stack trace in C++ follows.
fn without_trace(fault: Error) -> Error {
    let first_line = match fault.root_cause().downcast_ref() {
        Some(TchError::Torch(message)) if message.contains('\n') => {
            message.lines().next().unwrap_or_default().to_string()
        }
        _ => return fault,
    };
    let contexts: Vec<String> = fault.chain().map(|cause| cause.to_string()).collect();
    let contexts = contexts[..contexts.len() - 1].iter().rev().cloned();
    contexts.fold(Error::new(TchError::Torch(first_line)), Error::context)
}

/// Gives an error the type of its fault, if it comes from libtorch and has none yet.
fn with_type(fault: Error) -> Error {
    let torch = fault.chain().find_map(|cause| cause.downcast_ref::<TchError>()).map(TchError::to_string);
    match torch.map(|message| Fault::of(&message)) {
        Some(kind @ (Fault::OutOfMemory | Fault::DeviceLost)) if fault.downcast_ref::<Fault>().is_none() => {
            fault.context(kind)
        }
        _ => fault,
    }
}

/// Does work; if tch panics in it, gives the first line of libtorch's message instead.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence_caught_panics();
    let before = IS_CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CATCHING.set(before);
    result.or_else(|panic| match text(&*panic).and_then(torch_message) {
        Some(message) => Err(message),
        None => panic::resume_unwind(panic),
    })
}

thread_local! {
    /// Whether a panic of tch's on this thread would be caught.
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Once a process: puts a panic hook before the one that is there. It is silent about panics of tch's that
/// become errors on this thread; all others go to the hook that was there, so that they are reported as ever.
fn silence_caught_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_caught = IS_CATCHING.get() && text(info.payload()).and_then(torch_message).is_some();
            if !is_caught {
                before(info);
            }
        }));
    });
}

/// The message of a panic.
pub fn text(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied())
}

/// The first line of libtorch's message, if a panic is that of an `unwrap` of its error, which may go on with a
/// stack trace in C++ and whole tensors.
pub fn torch_message(panic: &str) -> Option<String> {
    const UNWRAP: &str = "called `Result::unwrap()` on an `Err` value: ";
    let (variant, escaped) = panic.strip_prefix(UNWRAP)?.split_once("(\"")?;
    if !["Torch", "Kind", "Shape", "Convert"].contains(&variant) {
        return None;
    }
    let line = escaped.split("\\n").next().unwrap_or_default();
    Some(line.strip_suffix("\")").unwrap_or(line).replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use tch::{Device, Kind, Tensor};

    fn zeros(size: &[i64]) -> Tensor {
        Tensor::zeros(size, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn a_panic_of_tch_becomes_an_error_of_one_line() {
        let fault = catch(|| Ok(zeros(&[2, 3]).mm(&zeros(&[4, 5])))).unwrap_err();
        assert_eq!(fault.downcast_ref(), Some(&Fault::Operation));
        let text = format!("{fault:#}");
        assert!(text.contains("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), "{text}");
        assert!(!text.contains("Exception raised") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn an_error_of_libtorch_loses_its_trace_and_keeps_its_contexts() {
        let product = || -> Result<Tensor> { Ok(zeros(&[2, 3]).f_mm(&zeros(&[4, 5]))?) };
        let fault = catch(|| product().context("cannot multiply").context("layer 3")).unwrap_err();
        let text = format!("{fault:#}");
        assert!(text.starts_with("layer 3: cannot multiply: Internal torch error: mat1 and mat2"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn other_panics_go_on() {
        let panic = panic::catch_unwind(|| catch(|| -> Result<()> { panic!("a mistake") })).unwrap_err();
        assert_eq!(text(&*panic), Some("a mistake"));
    }

    #[test]
    fn faults_are_told_apart_by_what_libtorch_says() {
        for (message, expected) in [
            ("CUDA out of memory. Tried to allocate 2.00 GiB", Fault::OutOfMemory),
            ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", Fault::OutOfMemory),
            ("[enforce fail] DefaultCPUAllocator: not enough memory", Fault::OutOfMemory),
            (
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                Fault::OutOfMemory,
            ),
            ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Fault::OutOfMemory),
            ("CUDA error: an illegal memory access was encountered", Fault::DeviceLost),
            ("shape '[3]' is invalid for input of size 4", Fault::Operation),
        ] {
            assert_eq!(Fault::of(message), expected, "{message}");
            let error = || Error::new(TchError::Torch(message.to_string())).context("cannot copy a batch");
            let found = catch(|| -> Result<()> { Err(error()) }).unwrap_err();
            assert_eq!(found.downcast_ref(), Some(&expected).filter(|fault| **fault != Fault::Operation));
            assert!(format!("{found:#}").contains("cannot copy a batch"));
        }
    }

    #[test]
    fn what_an_allocation_of_too_much_says_is_known() {
        let fault = catch(|| Ok(zeros(&[1 << 40, 1 << 20]))).unwrap_err();
        assert_eq!(fault.downcast_ref(), Some(&Fault::OutOfMemory), "{fault:#}");
    }
}
