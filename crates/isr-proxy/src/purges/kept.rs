//! How far the purges are, on disk.

use std::path::Path;
use std::time::Duration;

use isr_cache::{Epoch, Gradual, Spread, Timestamp};
use isr_routes::purges::position::Position;
use serde::{Deserialize, Serialize};

use crate::state_file;

/// The name of the file in the state folder.
const NAME: &str = "purges.json";

/// What outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) position: Position,
    gradual: Vec<KeptGradual>,
}

impl Kept {
    pub(super) fn of(position: &Position, gradual: &[Gradual]) -> Self {
        Self { position: position.clone(), gradual: gradual.iter().map(KeptGradual::of).collect() }
    }

    /// What takes effect over a time.
    pub(super) fn gradual(&self) -> Vec<Gradual> {
        self.gradual.iter().map(KeptGradual::gradual).collect()
    }

    /// What was kept in this folder.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        let read = |text: &str| serde_json::from_str(text).map_err(|error| error.to_string());
        state_file::load(folder, NAME, read).unwrap_or_else(|error| {
            tracing::error!("{error}: all published purges are carried out again");
            None
        })
    }

    /// Keeps it in this folder, or says in a sentence why it could not be.
    pub(super) fn save(&self, folder: &Path) -> Result<(), String> {
        // Strings and numbers only: cannot fail.
        let content = serde_json::to_vec(self).unwrap_or_default();
        state_file::save(folder, NAME, &content).map_err(|error| {
            format!("how far the purges are cannot be kept in {}: {error}", folder.display())
        })
    }
}

/// Times in milliseconds, the beginning since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptGradual {
    routes: Vec<String>,
    epoch: u64,
    begins_ms: u64,
    over_ms: u64,
}

impl KeptGradual {
    fn of(gradual: &Gradual) -> Self {
        Self {
            routes: gradual.routes.iter().map(ToString::to_string).collect(),
            epoch: gradual.epoch.0,
            begins_ms: gradual.spread.begins.0,
            over_ms: u64::try_from(gradual.spread.over.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn gradual(&self) -> Gradual {
        let over = Duration::from_millis(self.over_ms);
        Gradual {
            routes: self.routes.iter().map(|route| route.as_str().into()).collect(),
            epoch: Epoch(self.epoch),
            spread: Spread { begins: Timestamp(self.begins_ms), over },
        }
    }
}
