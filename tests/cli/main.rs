//! The program as its users run it: a process of its own in a fresh folder, one file a subcommand.

mod arrays;
mod bad_input;
mod data;
mod doctor;
mod downloads;
mod evaluate;
mod export;
mod formats;
mod help;
mod interop;
mod models;
mod number_types;
mod pictures;
mod place;
mod plot;
mod predict;
mod processes;
mod report;
mod resume;
mod runs;
mod scripts;
mod signals;
mod summary;
mod sweep;
mod tables;
mod train;
