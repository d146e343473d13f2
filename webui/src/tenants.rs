//! Tenants and keys as JSON. A key is shown once, to whoever made it.

use actix_web::{HttpRequest, HttpResponse, web};
use domain::tenant::Tenant;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Console;
use crate::facts::{KeyName, KeyWish, Keys, Rotation, TenantName, Tenants};
use crate::wish::{done, read};

/// `GET /api/v1/tenants`.
pub(crate) fn json(tenants: Vec<Tenant>) -> HttpResponse {
    HttpResponse::Ok().json(Tenants { tenants })
}

/// `GET /api/v1/keys`.
pub(crate) fn keys<C: Console>(console: &C) -> HttpResponse {
    HttpResponse::Ok().json(Keys { keys: console.keys() })
}

/// Reads a wish, and answers with what comes of it.
async fn wished<W: DeserializeOwned, T: Serialize>(
    request: &HttpRequest,
    payload: web::Payload,
    carry_out: impl AsyncFnOnce(W) -> Result<T, String>,
) -> HttpResponse {
    match read(request, payload).await {
        Ok(wish) => done(carry_out(wish).await),
        Err(trouble) => trouble.answer(),
    }
}

/// `POST /api/v1/tenants/set`.
pub(crate) async fn set<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    wished(&request, payload, async |tenant: Tenant| console.set_tenant(tenant.clone()).await.map(|()| tenant)).await
}

/// `POST /api/v1/tenants/remove`.
pub(crate) async fn remove<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    wished(&request, payload, async |name: TenantName| console.remove_tenant(name.name.clone()).await.map(|()| name))
        .await
}

/// `POST /api/v1/keys/create`.
pub(crate) async fn create<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    wished(&request, payload, async |wish: KeyWish| console.create_key(wish).await).await
}

/// `POST /api/v1/keys/rotate`.
pub(crate) async fn rotate<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    wished(&request, payload, async |wish: Rotation| console.rotate_key(wish).await).await
}

/// `POST /api/v1/keys/revoke`.
pub(crate) async fn revoke<C: Console + 'static>(
    console: web::Data<C>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    wished(&request, payload, async |name: KeyName| console.revoke_key(name.id).await).await
}
