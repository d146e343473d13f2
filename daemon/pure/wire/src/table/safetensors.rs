//! The one matrix of a safetensors file: <https://huggingface.co/docs/safetensors>.
//!
//! Eight bytes tell the length of a header in JSON, which tells type, shape and place of each tensor in what follows.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::semantic::{DIMENSIONS_MAX, single};
use serde::Deserialize;

/// A matrix, read where it lies.
#[derive(Debug)]
pub(super) struct Weights {
    numbers: Bytes,
    columns: usize,
    rows: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Half,
    Single,
}

impl Kind {
    const fn bytes(self) -> usize {
        match self {
            Self::Half => 2,
            Self::Single => 4,
        }
    }
}

/// Longest header: that of one matrix takes a hundred bytes.
const HEADER_BYTES_MAX: usize = 65_536;

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl Weights {
    pub(super) fn read(file: Bytes) -> Result<Self, String> {
        let cut = || "it ends too early".to_owned();
        let (length, rest) = file.split_first_chunk::<8>().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > HEADER_BYTES_MAX {
            return Err(format!("its header is longer than {HEADER_BYTES_MAX} bytes: is it safetensors?"));
        }
        let header = rest.get(..length).ok_or_else(cut)?;
        let mut tensors: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(header).map_err(|error| format!("its header is no JSON object: {error}"))?;
        tensors.remove("__metadata__");
        let (Some((name, tensor)), true) = (tensors.iter().next(), tensors.len() == 1) else {
            return Err(format!("it holds {} tensors: a table is one matrix", tensors.len()));
        };
        let tensor: Tensor = Tensor::deserialize(tensor).map_err(|error| format!("tensor {name}: {error}"))?;
        let kind = match &*tensor.dtype {
            "F16" => Kind::Half,
            "F32" => Kind::Single,
            other => return Err(format!("tensor {name} is of type {other}: F16 and F32 can be read")),
        };
        let [rows, columns] = *tensor.shape else {
            return Err(format!("tensor {name} has {} dimensions: a table has two", tensor.shape.len()));
        };
        if rows == 0 || !(1..=DIMENSIONS_MAX).contains(&columns) {
            return Err(format!(
                "a matrix of {rows} × {columns} is no table: up to {DIMENSIONS_MAX} columns can be read"
            ));
        }
        let wanted = rows.checked_mul(columns).and_then(|count| count.checked_mul(kind.bytes()));
        let (start, end) = tensor.data_offsets;
        if end.checked_sub(start) != wanted {
            return Err(format!("tensor {name} is not as long as its shape says"));
        }
        let begins = length + 8;
        let place = begins.checked_add(start).zip(begins.checked_add(end)).filter(|(_, end)| *end <= file.len());
        let (start, end) = place.ok_or_else(cut)?;
        Ok(Self { numbers: file.slice(start..end), columns, rows, kind })
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    pub(super) const fn columns(&self) -> usize {
        self.columns
    }

    /// Adds a row to a sum of as many numbers as there are columns; nothing if there is no such row.
    pub(super) fn add(&self, row: u32, sum: &mut [f32]) {
        let length = self.columns * self.kind.bytes();
        let start = usize::try_from(row).ok().and_then(|row| row.checked_mul(length));
        let Some(row) = start.and_then(|start| self.numbers.get(start..start + length)) else { return };
        match self.kind {
            Kind::Half => {
                for (sum, bytes) in sum.iter_mut().zip(row.as_chunks::<2>().0) {
                    *sum += single(u16::from_le_bytes(*bytes));
                }
            }
            Kind::Single => {
                for (sum, bytes) in sum.iter_mut().zip(row.as_chunks::<4>().0) {
                    *sum += f32::from_le_bytes(*bytes);
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::table) fn file(header: &str, numbers: &[u8]) -> Bytes {
        let length = u64::try_from(header.len()).unwrap().to_le_bytes();
        [&length[..], header.as_bytes(), numbers].concat().into()
    }

    #[test]
    fn a_matrix_is_read() {
        let header = r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}"#;
        let weights = Weights::read(file(header, &[0, 0x3c, 0, 0x40, 0, 0xc0, 0, 0])).unwrap();
        let mut sum = [1.0, 1.0];
        weights.add(0, &mut sum);
        weights.add(1, &mut sum);
        weights.add(2, &mut sum);
        weights.add(u32::MAX, &mut sum);
        assert_eq!((sum, weights.rows(), weights.columns()), ([0.0, 3.0], 2, 2));
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let tensor = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        for (header, want) in [
            ("{}", "it holds 0 tensors"),
            ("[]", "its header is no JSON object"),
            (r#"{"w":{"dtype":"F16"}}"#, "tensor w: missing field"),
            (&tensor("BF16", "[2,2]", "[0,8]"), "tensor w is of type BF16"),
            (&tensor("F16", "[4]", "[0,8]"), "tensor w has 1 dimensions"),
            (&tensor("F16", "[0,4]", "[0,0]"), "a matrix of 0 × 4"),
            (&tensor("F16", "[1,9000]", "[0,18000]"), "a matrix of 1 × 9000"),
            (&tensor("F16", "[2,2]", "[0,6]"), "tensor w is not as long"),
            (&tensor("F16", "[2,2]", "[8,0]"), "tensor w is not as long"),
            (&tensor("F16", "[2,2]", "[4,12]"), "it ends too early"),
            (&tensor("F16", "[9223372036854775807,4]", "[0,8]"), "tensor w is not as long"),
            (&tensor("F16", "[2,2]", "[18446744073709551600,18446744073709551608]"), "it ends too early"),
        ] {
            let error = Weights::read(file(header, &[0; 8])).expect_err(header);
            assert!(error.starts_with(want), "{header}: {error}");
        }
        assert!(Weights::read(Bytes::from_static(&[255; 20])).unwrap_err().contains("longer than"));
        assert!(Weights::read(Bytes::from_static(&[9, 0, 0, 0, 0, 0, 0, 0])).is_err());
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..200), header in ".{0,80}") {
            let _ = Weights::read(bytes.clone().into());
            let _ = Weights::read(file(&header, &bytes));
        }
    }
}
