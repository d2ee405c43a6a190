//! Tools, schedules and triggers.

use std::collections::BTreeMap;

use super::Drawer;
use crate::diagnostic::{Code, did_you_mean, excerpt};
use crate::document::{CatchUp, Document, McpEntry, McpServer, ScheduleSpec, Tools, TriggerOne};
use crate::plan::{McpPlan, Overlap, SchedulePlan, TriggerPlan};
use crate::read::At;

impl Drawer<'_> {
    pub(super) fn mcp(&mut self, tools: Option<&At<Tools>>) -> Vec<McpPlan> {
        let entries = tools.and_then(|tools| tools.mcp.as_ref()).map_or(&[][..], |mcp| &mcp.value);
        entries.iter().filter_map(|entry| self.server(entry)).collect()
    }

    fn server(&mut self, entry: &At<McpEntry>) -> Option<McpPlan> {
        let bare = McpServer::default();
        let (name, server) = match &entry.value {
            McpEntry::Name(name) => (name.0.clone(), &bare),
            McpEntry::Server(server) => (server.name.as_ref()?.value.0.clone(), server),
        };
        let written = server.command.is_some();
        let known = self.around.mcp.iter().find(|known| known.name == name);
        let required = server.required.as_ref().is_some_and(|required| required.value);
        if !written && known.is_none() {
            self.absent(entry, &name, required);
        }
        let mut args: Vec<String> =
            server.args.iter().flat_map(|args| &args.value).map(|arg| arg.value.clone()).collect();
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        if let Some(known) = known.filter(|_| !written) {
            args.splice(0..0, known.args.iter().cloned());
            env.clone_from(&known.env);
        }
        for (name, value) in server.env.iter().flat_map(|env| &env.value.entries) {
            env.insert(name.value.clone(), value.value.0.clone());
        }
        Some(McpPlan {
            command: server.command.as_ref().map(|text| text.0.clone()).or_else(|| known?.command.clone()),
            args,
            env,
            hosts: server
                .hosts
                .iter()
                .flat_map(|hosts| &hosts.value)
                .map(|host| host.value.0.clone())
                .collect(),
            outside: server.outside.as_ref().is_some_and(|outside| outside.value),
            required,
            source: if written {
                Some("the document".to_owned())
            } else {
                known.map(|known| known.source.clone())
            },
            name,
        })
    }

    fn absent(&mut self, entry: &At<McpEntry>, name: &str, required: bool) {
        let help = did_you_mean(name, self.around.mcp.iter().map(|known| known.name.as_str()));
        let message = format!("no MCP server named `{}` is known here", excerpt(name));
        if required {
            self.findings.error(Code::UnknownMcp, entry.span, message).help_if(help);
        } else {
            let message = format!("{message}; the agents are told so");
            self.findings.warning(Code::UnknownMcp, entry.span, message).help_if(help);
        }
    }
}

pub(super) fn trusted(document: &Document) -> Vec<String> {
    let domains = document.trust.as_ref().and_then(|trust| trust.domains.as_ref());
    domains.iter().flat_map(|domains| &domains.value).map(|domain| domain.value.0.clone()).collect()
}

pub(super) fn schedule(document: &Document) -> Option<SchedulePlan> {
    let block = match &document.schedule.as_ref()?.value {
        ScheduleSpec::Cron(cron) => {
            let cron = cron.0.clone();
            return Some(SchedulePlan {
                cron,
                timezone: None,
                catch_up_once: false,
                overlap: Overlap::Skip,
                jitter_ms: 0,
            });
        }
        ScheduleSpec::Block(block) => block,
    };
    Some(SchedulePlan {
        cron: block.cron.as_ref()?.value.0.clone(),
        timezone: block.timezone.as_ref().map(|zone| zone.0.clone()),
        catch_up_once: block.catch_up.as_ref().is_some_and(|rule| rule.value == CatchUp::Once),
        overlap: block.overlap.as_ref().map_or(Overlap::Skip, |rule| rule.value),
        jitter_ms: block.jitter_ms.as_ref().map_or(0, |ms| ms.0),
    })
}

pub(super) fn triggers(document: &Document) -> Vec<TriggerPlan> {
    let triggers = document.trigger.iter().flat_map(|trigger| &trigger.value.0);
    triggers
        .filter_map(|one| match &one.value {
            TriggerOne::Event(event) => Some(TriggerPlan { event: event.0.clone(), filter: None }),
            TriggerOne::Block(block) => Some(TriggerPlan {
                event: block.event.as_ref()?.value.0.clone(),
                filter: block.filter.as_ref().map(|filter| filter.value.clone()),
            }),
        })
        .collect()
}
