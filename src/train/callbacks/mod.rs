//! The callbacks that come with fitch, one to a file. Each knows only [`Training`](super::Training); the
//! rules behind them are pure functions and state machines with tests of their own.
//!
//! All are built in the same way: `new` with what they cannot do without, then a method for each setting.

mod best_weights;
mod early_stopping;
mod history_file;
mod interrupt;
mod learning_rate_schedule;
mod learning_rate_test;
mod patience;
mod progress_line;
mod reduce_learning_rate;
mod step_schedule;
mod tensorboard;
mod terminate_on_nan;
mod theano_patience;
mod time_limit;

use best_weights::BestWeights;
pub use early_stopping::EarlyStopping;
pub use history_file::{CsvForm, HistoryFile};
pub use interrupt::StopOnRequest;
pub use learning_rate_schedule::LearningRateSchedule;
pub use learning_rate_test::{LearningRateTest, TriedRate};
pub use patience::EarlyStoppingSettings;
use patience::{PatienceRule, Verdict};
pub use progress_line::ProgressLine;
pub use reduce_learning_rate::ReduceLearningRateOnPlateau;
pub use step_schedule::{ScheduleShape, StepSchedule};
pub use tensorboard::TensorBoard;
pub use terminate_on_nan::TerminateOnNan;
pub use theano_patience::TheanoPatience;
pub use time_limit::TimeLimit;
