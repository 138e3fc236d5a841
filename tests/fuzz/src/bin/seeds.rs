//! Writes what each fuzz target's corpus begins with to `fuzz/corpus/NAME/seed-N`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, _) in tine_fuzz::TARGETS {
        std::fs::create_dir_all(corpus.join(name))?;
        for (number, seed) in tine_fuzz::seeds::seeds(name).iter().enumerate() {
            std::fs::write(corpus.join(name).join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
