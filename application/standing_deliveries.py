"""Which standing deliveries there are, and what each may do at this moment: asked of the log alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from application.permissions import ANONYMOUS, Principal, config_access, managing, principal_of, rule_access
from application.ports.event_log import EventLog
from domain import accounts, groups, standing_deliveries, storage_configs
from domain.groups import Group
from domain.standing_deliveries import LIST, StandingDelivery
from domain.storage_configs import StorageConfig

POLICY = "DeliverStandingQueries"
"""The name of the policy; its checkpoint says up to where arrivals have been decided on."""


class Listing(msgspec.Struct, frozen=True):
    """All that haven't ended, oldest first; `version` is that of their list."""

    rules: tuple[StandingDelivery, ...]
    version: int


def load_listing(log: EventLog) -> Listing:
    """As the log has them now."""
    history = log.load(LIST)
    streams = [standing_deliveries.stream_of(rule) for rule in standing_deliveries.listed(history)]
    found = log.load_many(streams) if streams else {}
    rules = (standing_deliveries.fold(found.get(stream, ())) for stream in streams)
    return Listing(tuple(rule for rule in rules if rule.there), len(history))


def decided_upto(log: EventLog) -> int | None:
    """Up to where in the log standing deliveries have been looked after; None where there aren't any, so that nobody
    need wait for them."""
    return log.checkpoint(f"policy:{POLICY}") if standing_deliveries.listed(log.load(LIST)) else None


def of_project(log: EventLog, project: str) -> list[str]:
    """The ids of a project's standing deliveries that haven't ended."""
    return [rule.id for rule in load_listing(log).rules if rule.scope == "project" and rule.scope_id == project]


class Means(msgspec.Struct, frozen=True):
    """Who and what some standing deliveries depend on, as of now."""

    people: Mapping[str, Principal]
    groups: Mapping[str, Group]
    configs: Mapping[str, StorageConfig]

    def owner(self, rule: StandingDelivery) -> Principal:
        """In whose name it delivers; nobody when its owner may not come in, or may not manage it any more."""
        principal = self.people.get(rule.owner, ANONYMOUS)
        return principal if rule_access(principal, rule, self.project(rule)) == "manage" else ANONYMOUS

    def project(self, rule: StandingDelivery) -> Group | None:
        """The project that it belongs to, if it isn't personal."""
        return self.groups[groups.stream_of("project", rule.scope_id)] if rule.scope == "project" else None

    def destinations(self, rule: StandingDelivery) -> list[StorageConfig]:
        """Those that its owner can still send something to."""
        owner = self.owner(rule)
        return [config for config in map(self._config, rule.destinations) if self._usable(owner, config)]

    def problem(self, rule: StandingDelivery) -> str:
        """Why it delivers less than it says, as a sentence; empty when it doesn't."""
        if not self.owner(rule).authenticated:
            what = " or ".join(managing("project")) if rule.scope == "project" else ""
            lost = f"may not come in any more, or has no {what} in its project" if what else "may not come in any more"
            return f"Its owner {rule.owner} {lost}: nothing is delivered."
        usable = {config.id for config in self.destinations(rule)}
        lost_ones = [config for config in rule.destinations if config not in usable]
        return f"Its owner can't send anything to {', '.join(lost_ones)} any more." if lost_ones else ""

    def _config(self, config_id: str) -> StorageConfig:
        return self.configs[storage_configs.stream_of(config_id)]

    def _usable(self, owner: Principal, config: StorageConfig) -> bool:
        group = None if config.scope == "personal" else self.groups[groups.stream_of(config.scope, config.scope_id)]
        return config_access(owner, config, group) != "none"


def load_means(log: EventLog, rules: Sequence[StandingDelivery]) -> Means:
    """What these depend on, in a few round trips however many they are."""
    owners = {rule.owner: accounts.stream_of(rule.owner) for rule in rules}
    wanted = {storage_configs.stream_of(config) for rule in rules for config in rule.destinations}
    found = log.load_many(sorted({*owners.values(), *wanted}))
    configs = {stream: storage_configs.fold(found.get(stream, ())) for stream in wanted}
    parties = {groups.stream_of("project", rule.scope_id) for rule in rules if rule.scope == "project"}
    for config in configs.values():
        if config.scope != "personal":
            parties.add(groups.stream_of(config.scope, config.scope_id))
    members = log.load_many(sorted(parties)) if parties else {}
    return Means(
        people={owner: principal_of(accounts.fold(found.get(stream, ()))) for owner, stream in owners.items()},
        groups={stream: groups.fold(members.get(stream, ())) for stream in parties},
        configs=configs,
    )
