//! The files that pages load. A path carries the hash of its content, so that browsers keep it as long as they like.

use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// The parts of the style, in the order in which a browser reads them: later ones go before earlier ones.
const STYLE_SHEETS: &str = concat!(
    include_str!("../assets/style/base.css"),
    include_str!("../assets/style/verdict.css"),
    include_str!("../assets/style/upstreams.css"),
    include_str!("../assets/style/cards.css"),
    include_str!("../assets/style/models.css"),
);

/// The style of all pages.
pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", STYLE_SHEETS));

/// The sign in the browser's tab.
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

/// A file in the binary.
pub(crate) struct Asset {
    path: String,
    content_type: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(content.as_bytes());
        Self { path: format!("/assets/{name}.{:016x}.{extension}", hasher.finish()), content_type, content }
    }

    /// Where it is served.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The file itself.
    pub(crate) fn answer(&self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(self.content)
    }
}
