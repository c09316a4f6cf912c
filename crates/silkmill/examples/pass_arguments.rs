//! Arguments are what the closure takes with it; a name is given to the builder.

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
