//! The example programs, run as they are.

#[path = "../scripts/examples/reference_network.rs"]
mod reference_network;
#[path = "../scripts/examples/regression.rs"]
mod regression;
#[path = "../scripts/examples/two_views.rs"]
mod two_views;

/// In one test, because libtorch's random state is one for all of a process.
#[test]
fn the_example_programs_run_to_their_end() {
    reference_network::main().unwrap();
    two_views::main().unwrap();
    regression::main().unwrap();
}
