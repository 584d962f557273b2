use super::*;
use crate::model::{Layers, Model};

/// The reference network: two hidden layers of 512 on 28 x 28 pixels.
fn reference() -> Model {
    let layers = Layers::parse("dense 512, relu, dropout 0.2, dense 512, relu, dropout 0.2").unwrap();
    Model::classifier(&[28, 28], layers, 10).unwrap()
}

#[test]
fn the_keras_3_form_fits_an_80_column_terminal() {
    let text = summary(&reference(), SummaryStyle::Keras3 { columns: 80 });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓",
            "┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃",
            "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩",
            "│ dense_1 (Dense)                 │ (None, 512)            │       401,920 │",
            "├─────────────────────────────────┼────────────────────────┼───────────────┤",
            "│ relu_1 (ReLU)                   │ (None, 512)            │             0 │",
        ]
    );
    assert_eq!(
        lines[lines.len() - 5..],
        [
            "│ softmax_1 (Softmax)             │ (None, 10)             │             0 │",
            "└─────────────────────────────────┴────────────────────────┴───────────────┘",
            " Total params: 669,706 (2.55 MB)",
            " Trainable params: 669,706 (2.55 MB)",
            " Non-trainable params: 0 (0.00 B)",
        ]
    );
}

#[test]
fn the_box_is_never_wider_than_88_nor_cuts_a_name() {
    let width = |columns| {
        let text = summary(&reference(), SummaryStyle::Keras3 { columns });
        let widths: Vec<usize> = text.lines().take(19).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|&w| w == widths[0]), "{text}");
        assert!(text.contains("softmax_1 (Softmax) "));
        widths[0]
    };
    assert_eq!(width(200), 88);
    assert_eq!(width(92), 88);
    assert_eq!(width(84), 80);
    assert!(width(10) < 60);
}

#[test]
fn the_keras_1_form_has_100_columns_and_connections() {
    let text = summary(&reference(), SummaryStyle::Keras1);
    let lines: Vec<String> = text.lines().map(|line| line.trim_end().to_string()).collect();
    // Keras 1.1.0: model.summary() of the same network.
    assert_eq!(lines[0], "_".repeat(100));
    assert_eq!(lines[1], "Layer (type)                     Output Shape          Param #     Connected to");
    assert_eq!(lines[2], "=".repeat(100));
    assert_eq!(
        lines[3],
        "dense_1 (Dense)                  (None, 512)           401920      dense_input_1[0][0]"
    );
    assert_eq!(lines[4], "_".repeat(100));
    assert_eq!(lines[5], "activation_1 (Activation)        (None, 512)           0           dense_1[0][0]");
    assert_eq!(
        lines[7],
        "dropout_1 (Dropout)              (None, 512)           0           activation_1[0][0]"
    );
    assert_eq!(
        lines[lines.len() - 4],
        "activation_3 (Activation)        (None, 10)            0           dense_3[0][0]"
    );
    assert_eq!(lines[lines.len() - 3..], ["=".repeat(100), "Total params: 669706".into(), "_".repeat(100)]);
}

#[test]
fn sizes_and_separators() {
    assert_eq!(with_separators(0), "0");
    assert_eq!(with_separators(999), "999");
    assert_eq!(with_separators(1_234_567), "1,234,567");
    assert_eq!(size_text(0), "0.00 B");
    assert_eq!(size_text(255), "1020.00 B");
    assert_eq!(size_text(256), "1.00 KB");
    assert_eq!(size_text(669_706), "2.55 MB");
}
