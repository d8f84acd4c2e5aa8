"""What customers' fields are called in the exports of CRM and billing systems, in ten languages.

`SYNONYMS` is the table: a new name is one word there. Names are compared without case, accents, spaces and punctuation,
so `E-Mail`, `email` and `E_MAIL` are one.

Promised: a name stands for one field only, and is a whole header: parts of names are never searched. A name of two
meanings stands for the field whose rules notice the other one: `Staat` is a country. Never done: guessing from the
values of a column.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from connector.push.file.unicode_form import in_form

__all__ = ["SYNONYMS", "field_called", "plain"]

SYNONYMS: dict[str, str] = {
    "external_id": """
        External ID|External Customer ID|Customer ID|Customer No|Customer No.|Customer Number|Customer Code|Cust ID
        Account ID|Account No|Account No.|Account Number|Account Code|Client ID|Client No|Client Number|Client Code
        Kundennummer|Kunden-Nr.|Kundennr|Kunden-ID|KdNr|Kd.-Nr.|Kundencode|Debitor|Debitorennummer|Debitoren-Nr.
        Numéro client|N° client|No client|Code client|ID client|Identifiant client
        Número de cliente|N.º de cliente|Código de cliente|ID de cliente|ID cliente|Codice cliente|Numero cliente
        Klantnummer|Klant-ID|Klantcode|Número do cliente|Código do cliente|Numer klienta|Kod klienta|ID klienta
        Kundnummer|Kundenr|Kundenummer|Asiakasnumero
    """,
    "name": """
        Name|Company|Company Name|Customer|Customer Name|Account Name|Client Name|Organization|Organisation
        Organization Name|Organisation Name|Legal Name|Business Name|Full Name|Billing Name
        Firma|Firmenname|Firmenbezeichnung|Kunde|Kundenname|Unternehmen|Organisationsname
        Nom|Société|Entreprise|Raison sociale|Nom du client|Nom de la société|Nombre|Empresa|Cliente|Razón social
        Nombre del cliente|Nombre de la empresa|Azienda|Ragione sociale|Nome|Nome cliente|Società
        Naam|Bedrijf|Bedrijfsnaam|Klant|Klantnaam|Nome da empresa|Nome do cliente|Razão social
        Nazwa|Nazwa firmy|Nazwa klienta|Företag|Företagsnamn|Kundnamn|Virksomhed|Firmanavn|Kundenavn|Yritys
    """,
    "email": """
        Email|E-Mail|Mail|Email Address|E-mail Address|Billing Email|Primary Email|Contact Email|Email 1|Work Email
        E-Mail-Adresse|Mailadresse|Rechnungs-E-Mail|Adresse e-mail|Adresse email|Adresse mail|Courriel
        Adresse électronique|Correo|Correo electrónico|Email cliente|Posta elettronica|Indirizzo e-mail|Indirizzo email
        E-mailadres|Endereço de e-mail|Adres e-mail|E-postadress|E-post|E-mailadresse|Sähköposti
    """,
    "contact": """
        Contact|Phone|Phone Number|Telephone|Telephone Number|Tel|Tel.|Mobile|Mobile Phone|Mobile Number|Business Phone
        Work Phone|Main Phone|Cell|Cell Phone|Phone 1
        Telefon|Telefonnummer|Telefon-Nr.|Tel.-Nr.|Rufnummer|Handy|Handynummer|Mobil|Mobiltelefon|Mobilnummer
        Téléphone|Numéro de téléphone|N° de téléphone|Portable|Teléfono|Número de teléfono|Móvil|Celular
        Telefono|Numero di telefono|Cellulare|Telefoon|Telefoonnummer|Mobiel|Telefone|Telemóvel
        Numer telefonu|Telefon komórkowy|Puhelin|Puhelinnumero
    """,
    "address_line1": """
        Address|Address 1|Address Line 1|Street|Street 1|Street Address|Billing Address|Billing Street|Mailing Street
        Straße|Strasse|Adresse|Adresse 1|Straße und Hausnummer|Anschrift|Straße/Hausnr.|Rue|Adresse ligne 1|Voie
        Calle|Dirección|Dirección 1|Via|Indirizzo|Indirizzo 1|Straat|Adres|Straat en huisnummer|Rua|Endereço|Morada
        Ulica|Gata|Gatuadress|Vej|Katuosoite|Osoite|Billing Address Line 1
    """,
    "address_line2": """
        Address 2|Address Line 2|Street 2|Suite|Apartment|Billing Address Line 2
        Adresse 2|Adresszusatz|Adress-Zusatz|Zusatz|Adresse ligne 2|Complément d'adresse|Dirección 2|Indirizzo 2
        Adres 2|Complemento|Toevoeging
    """,
    "address_city": """
        City|Town|Billing City|Mailing City|Address City|Ort|Stadt|Wohnort|Ville|Localité|Commune|Ciudad|Población
        Localidad|Città|Comune|Plaats|Stad|Woonplaats|Cidade|Localidade|Miasto|Miejscowość|Stadt/Ort|Kaupunki
    """,
    "address_state": """
        State|Province|State/Province|State / Region|Region|County|Billing State|Mailing State|State or Province
        Bundesland|Kanton|Bundesland/Kanton|Provinz|Région|Département|Canton|Provincia|Comunidad autónoma
        Regione|Provincie|Distrito|Województwo|Län|Maakunta
    """,
    "address_postal_code": """
        ZIP|ZIP Code|ZIP/Postal Code|Postal Code|Post Code|Postcode|Billing ZIP|Billing Postal Code|Mailing Zip
        PLZ|Postleitzahl|Code postal|CP|Código postal|C.P.|CAP|Codice postale|Kod pocztowy|Código Postal (CP)|CEP
        Postnummer|Postinumero|Pin Code|Pincode
    """,
    "address_country": """
        Country|Country Code|Billing Country|Mailing Country|Address Country|ISO Country|Country ISO
        Land|Länderkennzeichen|Länderkürzel|Ländercode|Landescode|Staat|Staatencode|Pays|Code pays|País|Código de país
        Paese|Nazione|Codice paese|Landcode|Kraj|Kod kraju|Landskod|Landekode|Maa|Maakoodi
    """,
    "timezone": """
        Timezone|Time Zone|TZ|Zeitzone|Fuseau horaire|Zona horaria|Huso horario|Fuso orario|Tijdzone|Fuso horário
        Strefa czasowa|Tidszon|Tidszone|Aikavyöhyke
    """,
}
"""Field → names of its column, apart from its own; lines, and names in a line, are apart by a bar."""

_UNFOLDED = str.maketrans({"ß": "ss", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "æ": "ae", "°": "", "º": ""})


def plain(header: str) -> str:
    """A header without case, accents, spaces and punctuation."""
    if not header.isascii():
        parts = in_form("NFKD", header.translate(_UNFOLDED))
        header = "".join(c for c in parts if not unicodedata.combining(c))
    return "".join(c for c in header.casefold() if c.isalnum())


def field_called(header: str) -> str:
    """The field of which a header is a known name; "" for none."""
    return _fields().get(plain(header), "")


@cache
def _fields() -> dict[str, str]:
    return {
        plain(name): field
        for field, names in SYNONYMS.items()
        for line in names.split("\n")
        for name in line.split("|")
        if name.strip()
    }
