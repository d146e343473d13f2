//! What servers tell of themselves, taken over into the places.

use std::collections::HashMap;

use super::Dispatch;
use crate::catalogue::Target;
use crate::moment::Moment;
use crate::places::Places;
use crate::reading::{Engine, InMemory, Load, ModelState, Others, OursThen, Reading};

/// What a reading came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Requests of others that the server works on; `None` where it tells nothing of requests.
    pub others: Option<u32>,
    /// It works for others, or loads a model: it should be asked again soon.
    pub is_active: bool,
    /// What is new about how it takes cancelled calls: whether it goes on with them.
    pub ignores_cancel: Option<bool>,
}

impl Dispatch {
    /// An upstream told something of itself, when it was asked at `asked`. Those that wait may have their turn:
    /// [`Dispatch::wake`].
    pub fn read(&mut self, upstream: &str, engine: Engine, reading: &Reading, asked: Moment, now: Moment) -> Heard {
        self.places.site_mut(upstream).engine = Some(engine);
        let targets = self.targets_of(upstream);
        let mut others = None;
        // Loads and models may both be many.
        let by_model: HashMap<&str, &Target> = targets.iter().map(|target| (target.model.as_str(), target)).collect();
        let is_only = reading.loads.len() == 1;
        for load in &reading.loads {
            // A server may serve a model under further names, as vLLM does with adapters: these share the load of the
            // only model that it tells of.
            let own: Vec<&Target> = match load.model.as_deref().filter(|_| !is_only) {
                Some(model) => by_model.get(model).copied().into_iter().collect(),
                None => targets.iter().collect(),
            };
            let running = note_load(&mut self.places, load, &own, asked).running;
            others = Some(others.map_or(running, |others: u32| others.saturating_add(running)));
        }
        if let Some(models) = &reading.models {
            self.note_models(&targets, models, now);
        }
        let ignores_cancel = if reading.loads.is_empty() { None } else { self.judge_cancelled(upstream, now) };
        let mut places = targets.iter().filter_map(|target| self.places.place(target));
        Heard { others, is_active: places.any(|place| place.told.is_active()), ignores_cancel }
    }

    fn note_models(&mut self, targets: &[Target], models: &[ModelState], now: Moment) {
        let models: HashMap<&str, &ModelState> = models.iter().map(|state| (state.model.as_str(), state)).collect();
        for target in targets {
            let told = models.get(target.model.as_str());
            let memory = told.map_or(InMemory::No, |state| state.memory);
            let Some(place) = self.places.known_mut(target) else { continue };
            let resident = place.note_memory(memory, told.and_then(|state| state.on_cpu_percent), now);
            self.resides(target, Some(resident));
        }
    }

    /// An upstream tells nothing of itself any more.
    pub fn unread(&mut self, upstream: &str) {
        let places = self.places.iter_mut().filter(|(target, _)| target.upstream == upstream);
        places.for_each(|(_, place)| place.forget_told());
    }

    fn targets_of(&self, upstream: &str) -> Vec<Target> {
        let targets = self.places.iter().map(|(target, _)| target).filter(|target| target.upstream == upstream);
        targets.cloned().collect()
    }
}

/// Gives what of the load is not ours.
fn note_load(places: &mut Places, load: &Load, targets: &[&Target], asked: Moment) -> Others {
    let mut ours = OursThen::default();
    let mut before = Others::default();
    for target in targets {
        let Some(place) = places.place(target) else { continue };
        let own = place.ours_at(asked);
        ours.least = ours.least.saturating_add(own.least);
        ours.most = ours.most.saturating_add(own.most);
        before = place.told.others;
    }
    let others = Others::of(load, ours, before);
    for target in targets {
        let Some(place) = places.known_mut(target) else { continue };
        place.note_load(load, others);
    }
    others
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::places::{Place, Running};

    fn at(ms: u64) -> Moment {
        Moment::START + Duration::from_millis(ms)
    }

    fn dispatch(models: &[&str]) -> Dispatch {
        let mut dispatch = Dispatch::default();
        for model in models {
            dispatch.told(&Target::new("box", model), None, None, true);
        }
        dispatch.told(&Target::new("other", "m"), None, None, true);
        dispatch
    }

    fn place<'a>(dispatch: &'a Dispatch, model: &str) -> &'a Place {
        dispatch.places.place(&Target::new("box", model)).expect("a place")
    }

    fn load(model: Option<&str>, running: u32) -> Load {
        Load { model: model.map(str::to_owned), running, slots: Some(4), ..Load::default() }
    }

    fn told(loads: Vec<Load>) -> Reading {
        Reading { loads, models: None }
    }

    #[test]
    fn ours_and_theirs_are_told_apart() {
        let mut dispatch = dispatch(&["m"]);
        let running = Running { began: at(0), ..Running::default() };
        dispatch.places.place_mut(&Target::new("box", "m"), true).running = vec![running];
        let heard = dispatch.read("box", Engine::LlamaCpp, &told(vec![load(None, 3)]), at(2_000), at(2_010));
        assert_eq!(heard, Heard { others: Some(2), is_active: true, ignores_cancel: None });
        let seen = place(&dispatch, "m");
        assert_eq!((seen.told.others, seen.slots), (Others { running: 2, waiting: 0 }, Some(4)));
        let other = dispatch.places.place(&Target::new("other", "m")).expect("a place");
        assert_eq!((other.told.others, other.slots), (Others::default(), None));
        assert_eq!(dispatch.places.site("box").and_then(|site| site.engine), Some(Engine::LlamaCpp));
        dispatch.unread("box");
        assert_eq!(place(&dispatch, "m").told.others, Others::default());
    }

    #[test]
    fn loads_belong_to_their_models() {
        let mut one = dispatch(&["base", "adapter"]);
        one.read("box", Engine::Vllm, &told(vec![load(Some("base"), 2)]), at(2_000), at(2_000));
        assert_eq!(place(&one, "adapter").told.others.running, 2, "they share one engine");
        let mut two = dispatch(&["a", "b"]);
        two.read("box", Engine::Sglang, &told(vec![load(Some("a"), 2), load(Some("b"), 0)]), at(2_000), at(2_000));
        assert_eq!((place(&two, "a").told.others.running, place(&two, "b").told.others.running), (2, 0));
    }

    #[test]
    fn what_is_told_of_memory_goes_before_the_list() {
        let mut dispatch = dispatch(&["a", "b", "c"]);
        let state = |model: &str, memory| ModelState { model: model.to_owned(), memory, on_cpu_percent: None };
        let models = vec![state("a", InMemory::Yes), state("b", InMemory::Loading)];
        let reading = Reading { models: Some(models), ..Reading::default() };
        let heard = dispatch.read("box", Engine::LlamaSwap, &reading, at(0), at(10));
        assert_eq!(heard, Heard { others: None, is_active: true, ignores_cancel: None });
        let resident = |dispatch: &Dispatch| ["a", "b", "c"].map(|model| place(dispatch, model).resident);
        assert_eq!(resident(&dispatch), [Some(true), Some(false), Some(false)]);
        assert_eq!(place(&dispatch, "b").told.loading_since, Some(at(10)));
        dispatch.told(&Target::new("box", "a"), None, Some(false), true);
        assert_eq!(place(&dispatch, "a").resident, Some(true), "the list is older");
        dispatch.unread("box");
        dispatch.told(&Target::new("box", "a"), None, Some(false), true);
        assert_eq!(place(&dispatch, "a").resident, Some(false));
    }
}
