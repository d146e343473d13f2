//! The overview: the URL to paste, whether the upstreams answer, what is ill and what to do.

mod curl;
mod gpus;
mod ill;
mod nodes;
mod verdict;
mod work;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use askama::Template;
use domain::telemetry::Telemetry;

use crate::facts::{ModelRow, Nodes, Overview, Places, UpstreamRow, UpstreamState};
use crate::{assets, texts};
use gpus::{Fact, Gpus};
use ill::Ill;
use nodes::NodeView;
use verdict::Verdict;
use work::UpstreamView;

/// Rows of the models table that are shown before it must be unfolded.
const MODELS_AT_ONCE: usize = 15;

#[derive(Template)]
#[template(path = "overview/page.html")]
struct Page<'a> {
    style: &'a str,
    icon: &'a str,
    uptime: String,
    house: &'a Overview,
    verdict: Verdict,
    ills: Vec<Ill>,
    /// The best URL of the endpoint.
    base_url: Option<&'a str>,
    other_urls: Vec<&'a str>,
    /// Whether nobody has been set up who could answer.
    first_steps: bool,
    curl: Option<String>,
    upstreams: Vec<UpstreamView<'a>>,
    /// Requests of others, where somebody tells of any.
    others: Option<u64>,
    gpus: Gpus,
    nodes: Vec<NodeView>,
    machine: Vec<Fact>,
    machine_name: Option<&'a str>,
    models: &'a [ModelRow],
    more_models: &'a [ModelRow],
}

/// `GET /`.
pub(crate) fn page(house: &Overview, telemetry: &Telemetry, nodes: &Nodes, places: &Places) -> HttpResponse {
    match Page::new(house, telemetry, nodes, places).render() {
        Ok(html) => HttpResponse::Ok().content_type(ContentType::html()).body(html),
        Err(_) => HttpResponse::InternalServerError().body(texts::PAGE_FAILED),
    }
}

impl<'a> Page<'a> {
    fn new(house: &'a Overview, telemetry: &'a Telemetry, nodes: &Nodes, places: &Places) -> Self {
        let mut urls = house.base_urls.iter().map(|url| url.trim_end_matches('/'));
        let base_url = urls.next();
        // One row more is not worth a fold.
        let at_once = if house.models.len() <= MODELS_AT_ONCE + 1 { house.models.len() } else { MODELS_AT_ONCE };
        let (models, more_models) = house.models.split_at(at_once);
        Self {
            style: assets::STYLE.path(),
            icon: assets::ICON.path(),
            uptime: texts::uptime(house.uptime),
            verdict: Verdict::of(house),
            ills: ill::all(house, telemetry, nodes),
            base_url,
            other_urls: urls.collect(),
            first_steps: house.upstreams.iter().all(UpstreamRow::is_loopback),
            curl: base_url.and_then(|url| curl::line(url, house)),
            upstreams: work::all(house, places),
            others: Some(work::others(places)).filter(|others| *others > 0),
            gpus: Gpus::of(telemetry),
            nodes: nodes::all(nodes),
            machine: telemetry.machine.as_ref().map(gpus::machine).unwrap_or_default(),
            machine_name: telemetry.machine.as_ref().and_then(|machine| machine.host_name.as_deref()),
            models,
            more_models,
            house,
        }
    }
}
