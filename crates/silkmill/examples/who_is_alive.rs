//! The identity of the calling thread, and of all others that live.

use std::sync::mpsc::channel;

use silkmill::{Builder, active_count, current, threads};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (stop, stopped) = channel::<()>();
    let reader = Builder::new().name("reader").spawn(move || {
        let own = current();
        println!("I am {} (ident {}, native id {:?})", own.name(), own.ident(), own.native_id());
        stopped.recv().is_err()
    })?;

    println!("{} thread alive beside {}", active_count(), current().name());
    for info in threads() {
        println!("- {}, daemon: {}", info.name(), info.is_daemon());
    }
    drop(stop);
    reader.join()?;
    println!("{} alive after the join", active_count());
    Ok(())
}
