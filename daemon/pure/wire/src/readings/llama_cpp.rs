//! llama.cpp's list of slots.

use domain::reading::{Load, Reading};
use serde::Deserialize;

use crate::json;
use crate::malformed::Malformed;

/// One slot. Versions before the end of 2024 told a state, 1 being at work; younger ones say it in a word:
/// <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md>.
#[derive(Debug, Deserialize)]
struct Slot {
    is_processing: Option<bool>,
    state: Option<u64>,
}

/// Reads `/slots`, which a server may be told not to have.
///
/// # Errors
/// The body is no list of slots, or does not tell which of them work.
pub fn slots(body: &[u8]) -> Result<Reading, Malformed> {
    let slots: Vec<Slot> = json::read(body)?;
    let works = |slot: &Slot| slot.is_processing.or(slot.state.map(|state| state != 0));
    let works: Option<Vec<bool>> = slots.iter().map(works).collect();
    let works = works.filter(|works| !works.is_empty());
    let works = works.ok_or_else(|| Malformed::new("is_processing", "every slot tells whether it works"))?;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let running = works.iter().filter(|works| **works).count();
    let load = Load { running: count(running), slots: Some(count(works.len())), ..Load::default() };
    Ok(Reading { loads: vec![load], models: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_both_ages() {
        for (body, running, all) in [
            (
                r#"[{"id":0,"n_ctx":4096,"speculative":false,"is_processing":true,"id_task":7,
                    "params":{"n_predict":-1},"next_token":[{"has_next_token":true,"n_decoded":12}]},
                   {"id":1,"n_ctx":4096,"speculative":false,"is_processing":false}]"#,
                1,
                2,
            ),
            (r#"[{"id":0,"state":1,"prompt":"a secret","n_ctx":512},{"id":1,"state":0},{"id":2,"state":1}]"#, 2, 3),
            (r#"[{"id":0,"state":0,"is_processing":true}]"#, 1, 1),
        ] {
            let reading = slots(body.as_bytes()).expect("slots");
            let want = Load { running, slots: Some(all), ..Load::default() };
            assert_eq!(reading.loads, [want], "{body}");
        }
    }

    #[test]
    fn what_is_no_list_of_slots_is_told() {
        for body in ["", "[]", "{}", "[{}]", r#"[{"is_processing":true},{"id":1}]"#, r#"{"error":{"code":501}}"#] {
            assert!(slots(body.as_bytes()).is_err(), "{body}");
        }
    }
}
