//! Single messages out of a stream, by direct get.

use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream could not be had.
    #[error("find stream {stream}; is it provisioned?")]
    Stream {
        /// The stream.
        stream: &'static str,
        /// Why.
        source: jetstream::context::GetStreamError,
    },
    /// It did not answer.
    #[error("read a message of stream {stream}")]
    Message {
        /// The stream.
        stream: &'static str,
        /// Why.
        source: jetstream::stream::DirectGetError,
    },
    /// It could not be read from one end to the other.
    #[error("read the messages of stream {stream}")]
    Scan {
        /// The stream.
        stream: &'static str,
        /// Why.
        source: async_nats::Error,
    },
    /// A message is not what it should be.
    #[error("decode message {sequence} of stream {stream}")]
    Decode {
        /// The stream.
        stream: &'static str,
        /// The message.
        sequence: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// A stream whose messages are read one by one.
pub(crate) struct Reader {
    name: &'static str,
    stream: jetstream::stream::Stream,
}

impl Reader {
    pub(crate) async fn open(jetstream: &jetstream::Context, name: &'static str) -> Result<Self, ReadError> {
        let stream = jetstream.get_stream(name).await.map_err(|source| ReadError::Stream { stream: name, source })?;
        Ok(Self { name, stream })
    }

    /// The message at `sequence`, or `None` if it is not there (any more).
    pub(crate) async fn at(&self, sequence: u64) -> Result<Option<StreamMessage>, ReadError> {
        self.found(self.stream.direct_get(sequence).await)
    }

    /// The first message on `subject`, which may have wildcards, at `sequence` or after it.
    pub(crate) async fn next(&self, subject: &str, sequence: u64) -> Result<Option<StreamMessage>, ReadError> {
        self.found(self.stream.direct_get_builder().sequence(sequence).next_by_subject(subject).send().await)
    }

    fn found(
        &self,
        answer: Result<StreamMessage, jetstream::stream::DirectGetError>,
    ) -> Result<Option<StreamMessage>, ReadError> {
        match answer {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReadError::Message { stream: self.name, source }),
        }
    }
}
