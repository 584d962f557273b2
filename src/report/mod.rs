//! What people look at after a training: charts of its history, the diagram of the model, the confusion matrix,
//! the reliability diagram, sheets of images, a workbook, a page of everything. Nothing here knows how a model is
//! trained.

mod axis;
mod chart;
mod diagram;
mod drawing;
mod font;
mod heat_map;
mod history_csv;
mod history_curves;
mod labels;
pub mod page;
mod png;
mod rate_curve;
mod reliability;
mod sheet;
mod svg;
mod terminal_chart;
mod workbook;

pub use axis::Scale;
pub use chart::{ChartOptions, chart};
pub use diagram::{DiagramOptions, Orientation, diagram, dot};
pub use drawing::Drawing;
pub use heat_map::heat_map;
pub use history_csv::read_curves;
pub use history_curves::{HistoryCurves, metric_names};
pub use rate_curve::{RatePoint, rate_curve};
pub use reliability::reliability_diagram;
pub use sheet::{SheetImage, SheetLine, SheetRow, class_sheet, image_sheet, pair_sheet};
pub use terminal_chart::terminal_chart;
pub use workbook::{Fact, WorkbookContent, workbook};

#[cfg(test)]
mod tests;
