"""The settings in force, by environment variables or a TOML file, and where each value comes from.

An unknown STARFERRY_ name, or a value that can't be right, stops the start with a sentence that names it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.fits.settings import FitsSettings
from api.ocs_names import HEADER_RULES, WITHOUT_EFFECT
from api.setting_list import SETTINGS
from domain.errors import Misconfigured


class Settings:
    """The settings in force. `settings["NAME"]` is a parsed value; `sources["NAME"]` says where it comes from."""

    def __init__(self, environment: Mapping[str, str] | None = None, *, data: Path | None = None) -> None:
        self._given = dict(os.environ if environment is None else environment)
        self.environment = self._given
        file = self._file()
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self._refuse_unknown(self.environment, "the environment")
        self._refuse_unknown(file, "the configuration file")
        self.environment = {**file, **self.environment}
        for name, setting in SETTINGS.items():
            text, source = self.environment.get(name, setting.default), self._source(name)
            if name == "STARFERRY_DATA" and data is not None:
                text, source = str(data), "command line"
            try:
                self.values[name] = setting.parse(text)
            except ValueError:
                shown = "its value" if setting.secret else f"{text!r}"
                raise Misconfigured(f"{name} can't be {shown}: it is {setting.meaning}.") from None
            self.texts[name], self.sources[name] = text, source

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def data(self) -> Path:
        """The data folder, absolute."""
        return Path(self.values["STARFERRY_DATA"]).expanduser().absolute()

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is, when it isn't the embedded one; else empty."""
        if self["DATABASE_URL"]:
            return str(self["DATABASE_URL"])
        if not self["DB_HOST"]:
            return ""
        user, password = quote(self["DB_USER"], safe=""), quote(self["DB_PASS"], safe="")
        return f"postgresql://{user}:{password}@{self['DB_HOST']}:{self['DB_PORT']}/{self['DB_NAME']}"

    def reader_conninfo(self, conninfo: str) -> str:
        """The replica of the database of `conninfo`, which differs in its host alone; empty when there is none."""
        host = self["DB_HOST_READER"]
        if not host or not self.database_url or host == conninfo_to_dict(conninfo).get("host"):
            return ""
        return make_conninfo(conninfo, host=host)

    def shown(self) -> list[tuple[str, str, str, str]]:
        """Name, value, source and meaning of every setting, secrets masked. Names of the OCS archive that are accepted
        without effect come last, with the reason for a meaning and no value: it may be a secret."""
        rows = []
        for name, setting in SETTINGS.items():
            text = self.texts[name]
            rows.append((name, "********" if setting.secret and text else text, self.sources[name], setting.meaning))
        for name, default in FitsSettings.variables().items():
            if name not in SETTINGS:
                source = self._source(name)
                rows.append((name, self.environment.get(name, default), source, HEADER_RULES.get(name, "header key")))
        for name, reason in WITHOUT_EFFECT.items():
            if name not in SETTINGS:
                rows.append((name, "", "no effect", reason))
        return rows

    def _source(self, name: str) -> str:
        if name in self._given:
            return "environment"
        return "file" if name in self.environment else "default"

    def _file(self) -> dict[str, str]:
        path = self.environment.get("STARFERRY_CONFIG", "")
        if not path:
            return {}
        try:
            loaded = tomllib.loads(Path(path).read_text())
        except OSError as error:
            raise Misconfigured(f"STARFERRY_CONFIG names {path}, which can't be read: {error.strerror}.") from error
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"The configuration file {path} isn't TOML: {error}.") from error
        return {
            name: msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)
            for name, value in loaded.items()
        }

    def _refuse_unknown(self, given: Mapping[str, str], where: str) -> None:
        for name in given:
            if name.startswith("STARFERRY_") and name not in SETTINGS:
                raise Misconfigured(f"{name} in {where} isn't a setting of Starferry; `starferry config` lists them.")
