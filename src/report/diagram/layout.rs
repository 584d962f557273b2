//! Where boxes are: one after another, in several lines where one would not fit a page.

use super::groups::Group;
use super::node::Node;
use super::{GAP, MARGIN, NOTE, Orientation};
use crate::text::with_separators;

/// The length of a line, a column or a row, that a page has room for.
const MAX_LENGTH: f64 = 1_150.0;
/// Between lines; an arrow runs through it.
const GUTTER: f64 = 40.0;
/// What an arrow from line to line needs at both ends.
const TURN: f64 = 20.0;
/// Around a block that repeats, and above it for how often it does.
const FRAME: f64 = 10.0;
const FRAME_HEAD: f64 = 28.0;

/// A rectangle: left, top, width, height.
pub(super) type Area = [f64; 4];

/// The places of everything.
pub(super) struct Layout {
    pub size: (f64, f64),
    pub boxes: Vec<(Node, Area)>,
    /// Of repeated blocks, with what is written above them.
    pub frames: Vec<(String, Area)>,
    /// Through these points.
    pub arrows: Vec<Vec<(f64, f64)>>,
}

/// Lengths in the direction of the layers (along) and across it.
struct Measures {
    direction: Orientation,
    /// Of every box, across.
    box_across: f64,
    /// Before and after the boxes of a frame, along and across.
    frame_along: [f64; 2],
    frame_across: [f64; 2],
}

impl Measures {
    fn of(groups: &[Group], direction: Orientation) -> Measures {
        let nodes = || groups.iter().flat_map(|group| &group.nodes);
        let has_frames = groups.iter().any(|group| group.times > 1);
        let frame = [if has_frames { FRAME_HEAD } else { 0.0 }, if has_frames { FRAME } else { 0.0 }];
        let around = [frame[1]; 2];
        match direction {
            Orientation::Down => Measures {
                direction,
                box_across: nodes().map(Node::width).fold(150.0, f64::max),
                frame_along: [FRAME_HEAD, FRAME],
                frame_across: around,
            },
            Orientation::Right => Measures {
                direction,
                box_across: nodes().map(Node::height).fold(0.0, f64::max),
                frame_along: [FRAME; 2],
                frame_across: frame,
            },
        }
    }

    fn length_of(&self, node: &Node) -> f64 {
        match self.direction {
            Orientation::Down => node.height(),
            Orientation::Right => node.width(),
        }
    }

    fn group_length(&self, group: &Group) -> f64 {
        let boxes: f64 = group.nodes.iter().map(|node| self.length_of(node)).sum();
        let frame: f64 = if group.times > 1 { self.frame_along.iter().sum() } else { 0.0 };
        boxes + GAP * (group.nodes.len() - 1) as f64 + frame
    }

    fn line_across(&self) -> f64 {
        self.box_across + self.frame_across.iter().sum::<f64>()
    }

    fn point(&self, along: f64, across: f64) -> (f64, f64) {
        match self.direction {
            Orientation::Down => (across, along),
            Orientation::Right => (along, across),
        }
    }

    fn area(&self, (along, across): (f64, f64), length: f64, thickness: f64) -> Area {
        let ((left, top), (width, height)) = (self.point(along, across), self.point(length, thickness));
        [left, top, width, height]
    }
}

impl Layout {
    pub fn new(groups: &[Group], direction: Orientation) -> Layout {
        let measures = Measures::of(groups, direction);
        let lines = lines(groups, &measures);
        let mut layout =
            Layout { size: (0.0, 0.0), boxes: Vec::new(), frames: Vec::new(), arrows: Vec::new() };
        let start = MARGIN + if lines.len() > 1 { TURN } else { 0.0 };
        let mut across = MARGIN;
        let mut longest: f64 = 0.0;
        let mut before: Option<(f64, f64)> = None;
        for line in lines {
            let middle = across + measures.frame_across[0] + measures.box_across / 2.0;
            if let Some((end, middle_before)) = before {
                let gutter = across - GUTTER / 2.0;
                let turn = [
                    (end, middle_before),
                    (end + TURN - 4.0, middle_before),
                    (end + TURN - 4.0, gutter),
                    (start - TURN, gutter),
                    (start - TURN, middle),
                    (start, middle),
                ];
                layout.arrows.push(turn.map(|(along, across)| measures.point(along, across)).to_vec());
            }
            let mut along = start;
            for (index, group) in line.iter().enumerate() {
                if index > 0 {
                    layout
                        .arrows
                        .push(vec![measures.point(along - GAP, middle), measures.point(along, middle)]);
                }
                along = layout.place(group, &measures, (along, across)) + GAP;
            }
            let end = along - GAP;
            longest = longest.max(end);
            before = Some((end, middle));
            across += measures.line_across() + GUTTER;
        }
        let end = longest + MARGIN + start - MARGIN;
        layout.size = measures.point(end, across - GUTTER + MARGIN);
        layout
    }

    /// Places a group from a point on and gives where it ends.
    fn place(&mut self, group: &Group, measures: &Measures, (start, across): (f64, f64)) -> f64 {
        let is_framed = group.times > 1;
        let frame = if is_framed { measures.frame_along } else { [0.0; 2] };
        let box_across = across + measures.frame_across[0];
        let middle = box_across + measures.box_across / 2.0;
        let mut along = start + frame[0];
        for (index, node) in group.nodes.iter().enumerate() {
            if index > 0 {
                self.arrows.push(vec![measures.point(along - GAP, middle), measures.point(along, middle)]);
            }
            let length = measures.length_of(node);
            let area = measures.area((along, box_across), length, measures.box_across);
            self.boxes.push((node.clone(), area));
            along += length + GAP;
        }
        let end = along - GAP + frame[1];
        if is_framed {
            let area = measures.area((start, across), end - start, measures.line_across());
            self.frames.push((frame_text(group, area[2] - 2.0 * FRAME), area));
        }
        end
    }
}

/// `4 times, 147,712 parameters`, as much of it as there is room for.
fn frame_text(group: &Group, room: f64) -> String {
    let times = format!("{} times", group.times);
    let parameters: i64 = group.nodes.iter().map(|node| node.parameters).sum();
    let total = with_separators(parameters * group.times as i64);
    let whole = format!("{times}, {total} parameters in all");
    if parameters > 0 && NOTE.width(&whole) <= room { whole } else { times }
}

/// The groups in lines of about the same length, as few as fit a page.
fn lines<'a>(groups: &'a [Group], measures: &Measures) -> Vec<Vec<&'a Group>> {
    let lengths: Vec<f64> = groups.iter().map(|group| measures.group_length(group) + GAP).collect();
    let total: f64 = lengths.iter().sum::<f64>() - GAP;
    let count = (total / MAX_LENGTH).ceil().max(1.0);
    let wanted = total / count;
    let mut lines: Vec<Vec<&Group>> = vec![Vec::new()];
    let mut sum = 0.0;
    for (group, length) in groups.iter().zip(lengths) {
        let is_full = sum + length / 2.0 > wanted * lines.len() as f64;
        if is_full && (lines.len() as f64) < count && lines.last().is_some_and(|line| !line.is_empty()) {
            lines.push(Vec::new());
        }
        sum += length;
        lines.last_mut().into_iter().for_each(|line| line.push(group));
    }
    lines
}
