"""What countries are called in files, and the code that is meant: names in several languages, and codes of other kinds.

Promised: a name stands for one country. Never done: completing; a country that is not listed is corrected by hand.
"""

from __future__ import annotations

from functools import cache

from connector.countries import COUNTRIES
from connector.push.file.synonyms import plain

__all__ = ["country_meant"]

_NAMES = {
    "AE": "UAE|United Arab Emirates|Vereinigte Arabische Emirate", "AR": "Argentina|Argentinien|Argentine",
    "AT": "Austria|Österreich|Autriche|Oostenrijk|AUT", "AU": "Australia|Australien|Australie|AUS",
    "BE": "Belgium|Belgien|Belgique|België|Belgio|Bélgica|BEL", "BG": "Bulgaria|Bulgarien|Bulgarie",
    "BR": "Brazil|Brasilien|Brésil|Brasil|Brasile|BRA", "CA": "Canada|Kanada|Canadá|CAN",
    "CH": "Switzerland|Schweiz|Suisse|Svizzera|Suiza|Zwitserland|CHE", "CL": "Chile|Chili",
    "CN": "China|PR China|Chine|Cina|CHN", "CY": "Cyprus|Zypern|Chypre",
    "CZ": "Czech Republic|Czechia|Tschechien|Tschechische Republik|République tchèque|CZE",
    "DE": "Germany|Deutschland|Allemagne|Alemania|Germania|Duitsland|Alemanha|Niemcy|Tyskland|GER|DEU|BRD",
    "DK": "Denmark|Dänemark|Danemark|Danmark|Dinamarca|Denemarken|DNK", "EE": "Estonia|Estland|Estonie",
    "ES": "Spain|Spanien|Espagne|España|Spagna|Spanje|Espanha|ESP", "FI": "Finland|Finnland|Finlande|Suomi|FIN",
    "FR": "France|Frankreich|Francia|Frankrijk|França|Francja|FRA",
    "GB": "UK|United Kingdom|Great Britain|Großbritannien|Vereinigtes Königreich|Royaume-Uni|Reino Unido|GBR",
    "GR": "EL|Greece|Griechenland|Grèce|Grecia|GRC", "HK": "Hong Kong|Hongkong", "HR": "Croatia|Kroatien|Croatie|HRV",
    "HU": "Hungary|Ungarn|Hongrie|Ungheria|HUN", "ID": "Indonesia|Indonesien",
    "IE": "Ireland|Irland|Irlande|Irlanda|IRL",
    "IL": "Israel|Israël|Israele", "IN": "India|Indien|Inde|IND", "IS": "Iceland|Island|Islande",
    "IT": "Italy|Italien|Italie|Italia|Italië|Itália|Włochy|ITA", "JP": "Japan|Japon|Giappone|Japón|JPN",
    "KR": "South Korea|Südkorea|Republic of Korea|KOR", "LI": "Liechtenstein", "LT": "Lithuania|Litauen|Lituanie",
    "LU": "Luxembourg|Luxemburg|Lussemburgo|LUX", "LV": "Latvia|Lettland|Lettonie", "MT": "Malta|Malte",
    "MX": "Mexico|Mexiko|Mexique|México|MEX",
    "NL": "Netherlands|The Netherlands|Holland|Niederlande|Pays-Bas|Nederland|Países Bajos|Paesi Bassi|NLD",
    "NO": "Norway|Norwegen|Norvège|Norge|Noruega|NOR", "NZ": "New Zealand|Neuseeland|NZL",
    "PL": "Poland|Polen|Pologne|Polska|Polonia|POL", "PT": "Portugal|Portogallo|PRT",
    "RO": "Romania|Rumänien|Roumanie|ROU", "RS": "Serbia|Serbien|Serbie", "SE": "Sweden|Schweden|Suède|Sverige|SWE",
    "SG": "Singapore|Singapur|Singapour|SGP", "SI": "Slovenia|Slowenien|Slovénie|SVN",
    "SK": "Slovakia|Slowakei|Slovaquie|SVK", "TR": "Turkey|Türkei|Turquie|Türkiye|TUR", "UA": "Ukraine|Ucraina|UKR",
    "US": "USA|United States|United States of America|U.S.A.|U.S.|Vereinigte Staaten|États-Unis|Estados Unidos",
    "ZA": "South Africa|Südafrika|Afrique du Sud|ZAF",
}  # fmt: skip

_WORDS = frozenset(("NA", "NO"))
"""Codes that are also words for nothing: in small letters nobody knows what is meant."""


def country_meant(text: str) -> str:
    """The upper-case ISO code that is meant; "" where it is not certain."""
    said = text.strip()
    code = said.upper()
    if code in _WORDS and said != code:
        return ""
    if code in COUNTRIES and said.isascii():  # the capitals of ß are SS, which is South Sudan
        return code
    return _meant().get(plain(text), "")


@cache
def _meant() -> dict[str, str]:
    return {plain(name): code for code, names in _NAMES.items() for name in names.split("|")}
