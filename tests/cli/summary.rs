use crate::place::Place;

#[test]
fn the_reference_network_has_669_706_parameters_without_mnist_being_there() {
    let place = Place::new();
    let finished = place.run(&["summary", "--dataset", "mnist"]).well();
    assert!(finished.stdout.contains(" Total params: 669,706 (2.55 MB)\n"), "{finished:?}");
    assert!(finished.stdout.lines().next().unwrap().chars().count() <= 80, "no terminal: 80 columns");
    let finished = place.run(&["summary", "--dataset", "mnist", "--style", "keras1"]).well();
    assert!(finished.stdout.contains("\nTotal params: 669706\n"), "{finished:?}");
    assert_eq!(finished.stdout.lines().next().unwrap(), "_".repeat(100));
}

#[test]
fn layers_and_data_of_ones_own_are_summarised() {
    let place = Place::new();
    place.write_idx_set("pictures");
    let finished = place.run(&["summary", "--dataset", "pictures", "--layers", "dense 3, gelu"]).well();
    for part in ["dense_1 (Dense)", "gelu_1 (GELU)", "(None, 3)", "Total params: 59 "] {
        assert!(finished.stdout.contains(part), "no {part} in {finished:?}");
    }
}

#[test]
fn a_bad_word_is_pointed_at() {
    let place = Place::new();
    let finished = place.run(&["summary", "--layers", "dense 512, rely, dense 10"]);
    finished
        .with_fault(2, &["'rely' is not a layer kind", "  dense 512, rely, dense 10\n             ^^^^\n"]);
}

#[test]
fn a_model_is_drawn_into_a_file() {
    let place = Place::new();
    for (name, start) in [("a.svg", &b"<svg "[..]), ("a.png", b"\x89PNG"), ("a.dot", b"digraph ")] {
        place.run(&["summary", "--layers", "dense 3, gelu", "--to", name]).well();
        assert!(std::fs::read(place.path(name)).unwrap().starts_with(start), "{name}");
    }
    let drawn = place.read("a.svg");
    for part in ["dense_1", "Dense 3 + GELU", "64 in, 3 out", "195 parameters", "Dense 10 + Softmax"] {
        assert!(drawn.contains(part), "no {part}");
    }
    place.run(&["summary", "--to", "a.pdf"]).with_fault(2, &["--to a.pdf: the name must end in"]);
    place.run(&["summary", "--to", "no/a.svg"]).with_fault(1, &["cannot write no/a.svg"]);
}
