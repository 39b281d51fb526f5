//! `countersign inventory`: shows the assets, and replaces the file.

use super::collect::{Destination, Matter, sign_and_send};
use super::{Context, Failure};
use crate::api::wire::InventoryView;
use countersign_facts::Inventory;
use countersign_facts::inventory::INVENTORY_BYTES_MAX;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

/// What can be done with the inventory.
#[derive(Debug, clap::Subcommand)]
pub enum InventoryCommand {
    /// Show the inventory in force, as a file
    Show,
    /// Replace the inventory; only edits that raise what the AI may do need your signature
    Set {
        /// The TOML file
        file: PathBuf,
        #[command(flatten)]
        destination: Destination,
    },
}

pub(super) fn run(context: &Context, command: InventoryCommand) -> Result<(), Failure> {
    match command {
        InventoryCommand::Show => {
            let view: InventoryView = context.client()?.get("inventory")?;
            context.answer(&view, |view| super::render::quoted(&view.inventory, ""))
        }
        InventoryCommand::Set { file, destination } => {
            let mut text = String::new();
            File::open(&file)
                .and_then(|opened| {
                    opened
                        .take(INVENTORY_BYTES_MAX as u64 + 1)
                        .read_to_string(&mut text)
                })
                .map_err(|error| Failure::file(&file, &error))?;
            let new = Inventory::parse(text.as_bytes())
                .map_err(|error| Failure::refused(format!("`{}`: {error}", file.display())))?;
            let client = context.client()?;
            let current: InventoryView = client.get("inventory")?;
            let current = Inventory::parse(current.inventory.as_bytes()).map_err(|error| {
                Failure::refused(format!("the server's inventory cannot be read: {error}"))
            })?;
            let raises = current.raises(&new);
            let matter = Matter::Inventory { inventory: text };
            if raises.is_empty() {
                eprintln!("Nothing in it raises what the AI may do.");
            } else {
                eprintln!("This raises what the AI may do:");
            }
            for raise in &raises {
                eprintln!("  - {}", countersign_domain::text::shown(raise, 300));
            }
            let roster = client.roster()?;
            sign_and_send(context, &client, &roster, matter, &destination)
        }
    }
}
