//! Repeated blocks of a deep network, each drawn once.

use super::node::Node;

/// A diagram of so few boxes has all of them.
const MAX_BOXES: usize = 12;
/// Of a block that repeats.
const MAX_BLOCK: usize = 16;

/// Boxes one after another, and how often they follow one another.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub nodes: Vec<Node>,
    pub times: usize,
}

/// The boxes in groups: a block that repeats is one group, every other box one of its own.
pub(super) fn groups(nodes: Vec<Node>) -> Vec<Group> {
    let has_many = nodes.len() > MAX_BOXES;
    let mut groups = Vec::new();
    let mut rest = nodes.as_slice();
    while !rest.is_empty() {
        let (length, times) = if has_many { repetition(rest) } else { (1, 1) };
        groups.push(Group { nodes: rest[..length].to_vec(), times });
        rest = &rest[length * times..];
    }
    groups
}

/// The length of the block at the start, and how often it is there: once, a single box, if as much is saved from the
/// next box on. A convolution is then in one block with what follows it, not with what is before it.
fn repetition(nodes: &[Node]) -> (usize, usize) {
    let saved = |(length, times): (usize, usize)| length * (times - 1);
    let (here, next) = (longest_repetition(nodes), longest_repetition(&nodes[1..]));
    if saved(next) >= saved(here) { (1, 1) } else { here }
}

/// The length of the block at the start whose repetitions save the most boxes, and how often it is there.
fn longest_repetition(nodes: &[Node]) -> (usize, usize) {
    let times = |length: usize| {
        let is_again = |block: &[Node]| {
            block.len() == length && block.iter().zip(nodes).all(|(one, other)| one.is_like(other))
        };
        nodes.chunks(length).take_while(|block| is_again(block)).count()
    };
    let candidates = (1..=MAX_BLOCK.min(nodes.len())).map(|length| (length, times(length)));
    let saved = |&(length, times): &(usize, usize)| length * (times - 1);
    // Of several that save as many the shortest one.
    candidates.rev().max_by_key(saved).filter(|best| saved(best) > 0).unwrap_or((1, 1))
}
