//! The closure takes its arguments with it; the builder is given the thread's name.

use silkmill::Builder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names = vec!["Ada".to_owned(), "Grace".to_owned()];
    let punctuation = '!';

    let greeter = Builder::new().name("greeter").spawn(move || {
        for name in &names {
            println!("hello, {name}{punctuation}");
        }
        names.len()
    })?;

    println!("greeted {} people", greeter.join()?);
    Ok(())
}
