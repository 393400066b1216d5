use std::fmt::Write;

use super::Db;

impl Db {
    /// Checks that the books are right. Every test that moves money ends with it.
    pub(crate) async fn verified(&self) {
        let found = integrity::verify(&self.worker).await.unwrap();
        let mut wrong = String::new();
        for check in found.failed() {
            writeln!(
                wrong,
                "{}: {} ({} rows)\n    {}",
                check.name,
                check.proves,
                check.count,
                check.rows.join("\n    ")
            )
            .unwrap();
        }
        assert!(found.is_clean(), "the books are not right\n{wrong}");
    }
}
