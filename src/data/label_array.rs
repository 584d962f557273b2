//! Labels from an array of numbers, whatever its type and shape.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};

/// One whole number a row: of [n] or [n, 1] labels, or of rows of [n, classes] with a one for the class.
///
/// # Errors
/// Fractions, rows that name no class or several, other shapes.
pub(super) fn numbers(labels: &Tensor) -> Result<Vec<i64>> {
    let shape = labels.size();
    let whole = whole(labels)?;
    let of_rows = match shape[..] {
        [_] | [_, 1] => whole,
        [rows, classes] if classes > 1 => one_hot(&whole.f_view([rows, classes])?)?,
        _ => anyhow::bail!("has the shape {shape:?}; labels are [n], or one-hot [n, classes]"),
    };
    Ok(Vec::try_from(&of_rows.f_reshape([-1])?)?)
}

/// The values as int64.
fn whole(labels: &Tensor) -> Result<Tensor> {
    if labels.f_is_floating_point()? {
        /// float64 has every integer up to this one.
        const MAX_EXACT: f64 = (1u64 << 53) as f64;
        let values = labels.f_to_kind(Kind::Double)?;
        let are_whole = values.f_frac()?.f_eq(0.0)?.f_logical_and(&values.f_abs()?.f_le(MAX_EXACT)?)?;
        let flat = are_whole.f_reshape([-1])?.f_to_kind(Kind::Uint8)?;
        let bad = Vec::<u8>::try_from(&flat)?.iter().position(|is_whole| *is_whole == 0);
        if let Some(index) = bad {
            let value = values.f_reshape([-1])?.double_value(&[index as i64]);
            anyhow::bail!("labels must be whole numbers or words, not {value} (value {index}, from 0)");
        }
        return Ok(values.f_to_kind(Kind::Int64)?);
    }
    Ok(labels.f_to_kind(Kind::Int64)?)
}

/// The place of the one in each row of zeros.
fn one_hot(rows: &Tensor) -> Result<Tensor> {
    let are_ones = rows.f_eq(1)?.f_sum_dim_intlist(1, false, Kind::Int64)?;
    let are_others = rows.f_ne(0)?.f_sum_dim_intlist(1, false, Kind::Int64)?;
    let is_right = are_ones.f_eq(1)?.f_logical_and(&are_others.f_eq(1)?)?.f_to_kind(Kind::Uint8)?;
    let bad = Vec::<u8>::try_from(&is_right)?.iter().position(|is_right| *is_right == 0);
    let bad = bad.map(|row| -> Result<String> {
        let row_values = Vec::<i64>::try_from(&rows.f_get(row as i64)?)?;
        let shown: Vec<String> = row_values.iter().take(12).map(i64::to_string).collect();
        Ok(format!("row {row} (from 0) is {}", shown.join(" ")))
    });
    let bad = bad.transpose().context("cannot be read")?;
    ensure!(
        bad.is_none(),
        "has the shape {:?}, but its rows do not hold a single one, for one class an image: {}",
        rows.size(),
        bad.unwrap_or_default()
    );
    Ok(rows.f_argmax(1, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_columns_in_rows_and_as_floats() {
        let of = |tensor: Tensor| numbers(&tensor).map_err(|fault| format!("{fault:#}"));
        assert_eq!(of(Tensor::from_slice(&[3u8, 0, 7])), Ok(vec![3, 0, 7]));
        assert_eq!(of(Tensor::from_slice(&[3i32, 0]).view([2, 1])), Ok(vec![3, 0]));
        assert_eq!(of(Tensor::from_slice(&[3.0f32, -1.0])), Ok(vec![3, -1]));
        assert_eq!(of(Tensor::from_slice(&[0.0f64, 0.0, 1.0, 1.0, 0.0, 0.0]).view([2, 3])), Ok(vec![2, 0]));
        assert_eq!(of(Tensor::from_slice(&[0u8, 1, 1, 0]).view([2, 2])), Ok(vec![1, 0]));
        let fault = |tensor: Tensor| of(tensor).unwrap_err();
        assert!(fault(Tensor::from_slice(&[1.0f32, 0.5])).contains("not 0.5 (value 1, from 0)"));
        assert!(fault(Tensor::from_slice(&[1.0f64, f64::NAN])).contains("not NaN"));
        assert!(fault(Tensor::from_slice(&[f64::INFINITY])).contains("not inf"));
        assert!(fault(Tensor::from_slice(&[0u8, 1, 1, 1]).view([2, 2])).contains("row 1 (from 0) is 1 1"));
        assert!(fault(Tensor::from_slice(&[0u8, 1, 0, 0]).view([2, 2])).contains("row 1 (from 0) is 0 0"));
        assert!(fault(Tensor::from_slice(&[0u8, 1, 1, 1]).view([1, 2, 2])).contains("shape [1, 2, 2]"));
        assert!(fault(Tensor::from_slice(&[1u8]).view([1, 1, 1])).contains("shape [1, 1, 1]"));
    }
}
