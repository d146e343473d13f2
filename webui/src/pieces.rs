//! A body that is made piece by piece where waiting harms nobody, so that no size of it takes memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::{self, Bytes};

use crate::LedgerPieces;

/// What one piece is made of: the text and the rest, or the sentence that says why it ends too early.
type Made = (Option<Result<String, String>>, LedgerPieces);
type Making = Pin<Box<dyn Future<Output = Result<Made, String>>>>;

/// The rest of a text of which the first piece is there.
pub(crate) struct Pieces {
    first: Option<Bytes>,
    /// `None` at the end.
    making: Option<Making>,
}

impl Pieces {
    /// Makes the first piece.
    ///
    /// # Errors
    /// The sentence in its place: nothing was sent yet, so that it can be told.
    pub(crate) async fn begin(pieces: LedgerPieces) -> Result<Self, String> {
        let (first, rest) = make(pieces).await?;
        let first = first.transpose()?;
        let making = first.is_some().then(|| make(rest));
        Ok(Self { first: first.map(Bytes::from), making })
    }
}

fn make(mut pieces: LedgerPieces) -> Making {
    Box::pin(async move {
        // It reads a file.
        let made = web::block(move || (pieces.next(), pieces)).await;
        made.map_err(|_| "the export was broken off; Airlane's log says why".to_owned())
    })
}

impl MessageBody for Pieces {
    /// Breaks the connection, so that nobody takes a part for the whole.
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(making) = &mut self.making else { return Poll::Ready(None) };
        let made = ready!(making.as_mut().poll(context));
        self.making = None;
        Poll::Ready(match made {
            Ok((Some(Ok(text)), rest)) => {
                self.making = Some(make(rest));
                Some(Ok(Bytes::from(text)))
            }
            Ok((None, _)) => None,
            Ok((Some(Err(reason)), _)) | Err(reason) => Some(Err(io::Error::other(reason))),
        })
    }
}
