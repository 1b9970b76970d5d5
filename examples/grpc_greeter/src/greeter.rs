//! The service.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use crate::proto::greeter_server::Greeter as Service;
use crate::proto::{
    CountdownReply, CountdownRequest, HelloReply, HelloRequest, SumReply, SumRequest, TalkReply, TalkRequest,
};

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Greets, counts, adds and talks.
#[derive(Debug)]
pub(crate) struct Greeter;

#[tonic::async_trait]
impl Service for Greeter {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("whom shall I greet?"));
        }
        Ok(Response::new(HelloReply { text: format!("hello {name}") }))
    }

    type CountdownStream = Replies<CountdownReply>;

    async fn countdown(
        &self,
        request: Request<CountdownRequest>,
    ) -> Result<Response<Replies<CountdownReply>>, Status> {
        let CountdownRequest { from, pause_ms } = request.into_inner();
        let pause = Duration::from_millis(pause_ms.into());
        let numbers = stream::iter((0..=from).rev()).then(move |number| async move {
            tokio::time::sleep(pause).await;
            Ok(CountdownReply { number })
        });
        Ok(Response::new(Box::pin(numbers)))
    }

    async fn sum(&self, request: Request<Streaming<SumRequest>>) -> Result<Response<SumReply>, Status> {
        let mut numbers = request.into_inner();
        let mut sum = 0_i64;
        while let Some(SumRequest { number }) = numbers.message().await? {
            sum = sum.checked_add(number).ok_or_else(|| Status::out_of_range("the sum is too large"))?;
        }
        Ok(Response::new(SumReply { sum }))
    }

    type TalkStream = Replies<TalkReply>;

    async fn talk(
        &self,
        request: Request<Streaming<TalkRequest>>,
    ) -> Result<Response<Replies<TalkReply>>, Status> {
        let replies = request.into_inner().map(|heard| {
            let TalkRequest { text } = heard?;
            if text == "quit" {
                Err(Status::aborted("as you like"))
            } else {
                Ok(TalkReply { text: text.to_uppercase() })
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }
}
