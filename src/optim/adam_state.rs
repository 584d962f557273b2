//! What both ways of computing Adam share: the parts of a parameter's state, and what a weight decay shrinks.

use super::rule::Part;
use tch::nn;

/// What a weight decay shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// The values, through their gradients: an L2 penalty. Adam.
    Gradient,
    /// The values themselves, in proportion to the learning rate. AdamW.
    Decoupled,
}

/// The places of the parts in a parameter's state.
pub const FIRST_MOMENT: usize = 0;
pub const SECOND_MOMENT: usize = 1;
/// How many steps were made.
pub const COUNT: usize = 2;
/// With `amsgrad` only.
pub const MAX_SECOND_MOMENT: usize = 3;

/// The parts of the state, in the order of the constants above.
pub fn parts(settings: &nn::Adam) -> Vec<Part> {
    let mut parts =
        vec![Part::per_value("first_moment"), Part::per_value("second_moment"), Part::scalar("count")];
    if settings.amsgrad {
        parts.push(Part::per_value("max_second_moment"));
    }
    parts
}
