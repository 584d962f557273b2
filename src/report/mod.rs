//! From what a training left to what people look at: charts, the diagram of a model, the confusion
//! matrix, a workbook, TensorBoard's files. It must not know training.

mod axis;
mod chart;
mod curves;
mod diagram;
mod heat_map;
mod sheet;
mod svg;
mod terminal_chart;
mod workbook;

pub use chart::chart;
pub use curves::{Curves, metric_names, read_curves};
pub use diagram::{DiagramOptions, Orientation, diagram, dot};
pub use heat_map::heat_map;
pub use sheet::{SheetImage, picture_sheet};
pub use svg::Drawing;
pub use terminal_chart::terminal_chart;
pub use workbook::{Fact, WorkbookContent, workbook};

#[cfg(test)]
mod tests;
