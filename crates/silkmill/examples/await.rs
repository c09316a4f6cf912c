//! A future is a future: any async runtime can await it. Here the smallest there is.
//!
//! Run it with `cargo run -p silkmill --example await`.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;

use silkmill::ThreadPoolExecutor;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(2).build()?;
    let sum = block_on(async {
        let (one, two) = (pool.submit(|| 20), pool.submit(|| 5));
        Ok::<_, silkmill::TaskError>(one.await? + two.await?)
    })?;
    println!("{sum}");
    assert_eq!(sum, 25);
    Ok(())
}
