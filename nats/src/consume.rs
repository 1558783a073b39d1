//! Deliveries of the durable consumer that all routers share.
//!
//! Invariants: no more messages are asked for than the caller may have in hand, so that none grows old
//! unseen in a buffer; a lost broker costs a pause, never the stream; settling is confirmed by the server.

mod delivery;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use spine_core::names::{EVENTS_STREAM, ROUTER_CONSUMER};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

pub use delivery::{Delivery, Settlement};

use crate::pause;

/// How long the server keeps a request for messages open.
const PULL_EXPIRES: Duration = Duration::from_secs(2);
/// How long after that the request counts as lost with its connection.
const PULL_LOST: Duration = Duration::from_secs(3);

/// Why there are no deliveries.
#[derive(Debug, thiserror::Error)]
#[error("open consumer {ROUTER_CONSUMER} of stream {EVENTS_STREAM}; is it provisioned?")]
pub struct ConsumeError(#[from] jetstream::stream::ConsumerError);

/// An endless stream of deliveries.
pub struct Deliveries(BoxStream<'static, Delivery>);

impl Deliveries {
    /// Opens the routers' consumer. At most `max_in_flight` deliveries are unsettled at a time; each
    /// counts until it is settled or dropped.
    pub async fn open(jetstream: &jetstream::Context, max_in_flight: usize) -> Result<Self, ConsumeError> {
        let consumer = jetstream.get_consumer_from_stream(ROUTER_CONSUMER, EVENTS_STREAM).await?;
        let fetcher = Fetcher { consumer, slots: Arc::new(Semaphore::new(max_in_flight)), pull: None, failures: 0 };
        Ok(Self(
            futures::stream::unfold(fetcher, |mut fetcher| async move {
                let delivery = fetcher.next().await;
                Some((delivery, fetcher))
            })
            .boxed(),
        ))
    }
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.0.poll_next_unpin(context)
    }
}

struct Fetcher {
    consumer: jetstream::consumer::Consumer<pull::Config>,
    slots: Arc<Semaphore>,
    pull: Option<Pull>,
    failures: usize,
}

/// A request for messages under way: one slot for each message that may still come.
struct Pull {
    batch: pull::Batch,
    slots: OwnedSemaphorePermit,
    until: Instant,
}

impl Fetcher {
    async fn next(&mut self) -> Delivery {
        loop {
            let mut pull = match self.pull.take() {
                Some(pull) => pull,
                None => match self.ask().await {
                    Ok(pull) => pull,
                    Err(error) => {
                        self.fail(&error).await;
                        continue;
                    }
                },
            };
            match timeout_at(pull.until, pull.batch.next()).await {
                Ok(Some(Ok(message))) => {
                    self.failures = 0;
                    let slot = pull.slots.split(1);
                    if pull.slots.num_permits() > 0 {
                        self.pull = Some(pull);
                    }
                    match Delivery::new(message, slot) {
                        Ok(delivery) => return delivery,
                        Err(error) => tracing::error!(error, "a message without a place in the stream"),
                    }
                }
                Ok(Some(Err(error))) => self.fail(&*error).await,
                Ok(None) => self.failures = 0,
                Err(_) => self.fail("the server did not answer").await,
            }
        }
    }

    /// Asks for as many messages as there are free slots, at least one.
    async fn ask(&self) -> Result<Pull, String> {
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX).max(1);
        let slots = self.slots.clone().acquire_many_owned(free).await.map_err(|error| error.to_string())?;
        let until = Instant::now() + PULL_LOST;
        let request = self.consumer.batch().max_messages(slots.num_permits()).expires(PULL_EXPIRES);
        let batch = request.messages().await.map_err(|error| error.to_string())?;
        Ok(Pull { batch, slots, until })
    }

    async fn fail(&mut self, error: &(impl std::fmt::Display + ?Sized)) {
        let pause = pause::after(self.failures);
        tracing::warn!(%error, ?pause, "failed to fetch events, trying again");
        self.failures += 1;
        sleep(pause).await;
    }
}
