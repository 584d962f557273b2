//! Which of several CUDA devices to take: the one with the most free memory among those that work.

use super::fault::{Fault, NoDevice};
use crate::text::byte_size;
use std::cmp::Reverse;

/// The device that was found, and why it was taken.
#[derive(Debug, PartialEq, Eq)]
pub struct FirstThatWorks {
    pub index: usize,
    pub reason: String,
}

/// Tries devices in the order of their free memory, the lowest index first where that is the same; those of
/// which it is not known come last.
///
/// # Errors
/// None works: the fault of the one that was tried first.
pub fn first_that_works(
    free: &[Option<u64>],
    mut try_device: impl FnMut(usize) -> Result<(), NoDevice>,
) -> Result<FirstThatWorks, Fault> {
    let mut order: Vec<usize> = (0..free.len()).collect();
    order.sort_by_key(|&index| Reverse(free[index]));
    let mut first_fault = None;
    for index in order {
        match try_device(index) {
            Ok(()) => return Ok(FirstThatWorks { index, reason: reason(free, index, first_fault) }),
            Err(cause) => {
                first_fault.get_or_insert(Fault { index: Some(index), cause });
            }
        }
    }
    Err(first_fault.unwrap_or(Fault { index: None, cause: NoDevice::NoneFound }))
}

/// Why that device was taken, in words; `passed_over` would have been better.
fn reason(free: &[Option<u64>], index: usize, passed_over: Option<Fault>) -> String {
    let count = free.len();
    match (free[index].map(byte_size), passed_over) {
        (_, None) if count == 1 => "the only CUDA device".to_string(),
        (Some(size), None) => format!("with {size} free the most of {count}"),
        (None, None) => format!("the first of {count}; the driver does not say how much memory is free"),
        (Some(size), Some(fault)) => format!("the next best of {count}, with {size} free; {fault}"),
        (None, Some(fault)) => format!("the next of {count}; {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// The device and the reason; or the fault. Those in `broken` do not work.
    fn found(free: &[Option<u64>], broken: &[usize]) -> Result<(usize, String), String> {
        let works = |index| match broken.contains(&index) {
            true => Err(NoDevice::NoCode { capability: Some((6, 1)) }),
            false => Ok(()),
        };
        let found = first_that_works(free, works);
        found.map(|found| (found.index, found.reason)).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_most_free_memory_wins_and_then_the_lowest_index() {
        let free = [9, 70, 70, 40].map(|gib| Some(gib * GIB));
        assert_eq!(found(&free, &[]), Ok((1, "with 70 GiB free the most of 4".to_string())));
        assert_eq!(found(&free[..1], &[]), Ok((0, "the only CUDA device".to_string())));
    }

    #[test]
    fn a_device_that_does_not_work_is_passed_over_and_told() {
        let fault = "cannot use cuda:1: this libtorch has no code for compute capability 6.1";
        let free = [9, 70, 7, 40].map(|gib| Some(gib * GIB));
        let next = format!("the next best of 4, with 9.0 GiB free; {fault}");
        assert_eq!(found(&free, &[1, 3]), Ok((0, next)));
        assert_eq!(found(&free, &[0, 1, 2, 3]), Err(fault.to_string()));
    }

    #[test]
    fn without_an_answer_of_the_driver_the_first_is_taken() {
        let reason = "the first of 2; the driver does not say how much memory is free";
        assert_eq!(found(&[None, None], &[]), Ok((0, reason.to_string())));
        assert_eq!(found(&[None, Some(GIB)], &[]).unwrap().0, 1);
        let fault = "cannot use cuda:0: this libtorch has no code for compute capability 6.1";
        assert_eq!(found(&[None, None], &[0]), Ok((1, format!("the next of 2; {fault}"))));
    }
}
