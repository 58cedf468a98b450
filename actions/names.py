"""Name lists for the sample accounts. All people, addresses and parcels made from them are invented."""

from __future__ import annotations

_FIRST = (
    "Aisha Alan Alice Amara Amir Anna Arthur Beth Brian Callum Carys Charlotte Chloe Colin Daisy Daniel David Deepa "
    "Dylan Eilidh Eleanor Ella Emeka Emily Ewan Farah Fiona Freya George Grace Gwen Hannah Harriet Harry Hugh Ibrahim "
    "Imogen Isla Jack James Jasmine Joan Joe Kamala Kate Keith Kiran Laura Leo Lily Lucy Maeve Malcolm Mei Michael "
    "Mina Mohammed Morag Nadia Nia Nigel Nikhil Niamh Noah Olivia Omar Oscar Owen Patrick Paul Poppy Priya Rachel "
    "Rhys Robert Rosie Ruth Sam Sanjay Sarah Sean Sian Sophie Stephen Sunita Susan Tariq Thomas Tom Una Victoria "
    "Walter Wendy Will Yasmin Zainab Zoe"
)
FIRST = tuple(_FIRST.split())

_LAST = (
    "Adeyemi Ahmed Ali Allen Andrews Bailey Baker Barnes Bell Bennett Booth Brown Campbell Carter Chan Chapman Clarke "
    "Cole Collins Cooper Cox Das Davies Dixon Doyle Edwards Ellis Evans Fisher Foster Fraser Gallagher Gibson Graham "
    "Grant Gray Green Griffiths Hall Harris Harvey Hughes Hunt Hussain Jackson James Johnson Jones Kaur Kelly Khan "
    "King Knight Lee Lewis Lloyd MacDonald Marshall Mason Matthews Mehta Mills Mitchell Moore Morgan Morris Murphy "
    "Murray Nwosu Okafor Palmer Parker Patel Pearson Phillips Powell Price Reid Reynolds Richards Roberts Robinson "
    "Rose Ross Ryan Saunders Scott Shah Sharma Shaw Simpson Singh Smith Stevens Stewart Taylor Thomas Thompson Turner "
    "Walker Walsh Ward Watson Webb White Williams Wilson Wood Wright Young"
)
LAST = tuple(_LAST.split())

_STREETS = (
    "Acacia Avenue|Albert Road|Beech Close|Bridge Street|Castle Hill|Chapel Lane|Church Road|Elm Grove|Field View|"
    "Green Lane|Hawthorn Drive|High Street|Hill Rise|Kings Road|Lime Walk|Manor Way|Mill Lane|New Street|North Parade|"
    "Oak Avenue|Orchard Way|Park Road|Priory Gardens|Queen Street|School Lane|Springfield Road|Station Road|"
    "The Crescent|Victoria Terrace|West View|Willow Close|York Place"
)
STREETS = tuple(_STREETS.split("|"))

# (town, postcode area): districts and units are drawn, so that the postcodes look right and belong to nobody in particular.
TOWNS = (
    ("Aberdeen", "AB"),
    ("Bath", "BA"),
    ("Belfast", "BT"),
    ("Birmingham", "B"),
    ("Brighton", "BN"),
    ("Bristol", "BS"),
    ("Cambridge", "CB"),
    ("Cardiff", "CF"),
    ("Derby", "DE"),
    ("Dundee", "DD"),
    ("Edinburgh", "EH"),
    ("Exeter", "EX"),
    ("Glasgow", "G"),
    ("Ipswich", "IP"),
    ("Leeds", "LS"),
    ("Leicester", "LE"),
    ("Liverpool", "L"),
    ("London", "SE"),
    ("London", "N"),
    ("London", "SW"),
    ("Manchester", "M"),
    ("Newcastle upon Tyne", "NE"),
    ("Norwich", "NR"),
    ("Nottingham", "NG"),
    ("Oxford", "OX"),
    ("Plymouth", "PL"),
    ("Sheffield", "S"),
    ("Southampton", "SO"),
    ("Swansea", "SA"),
    ("York", "YO"),
)

CARRIERS = (
    ("Royal Mail", "RM"),
    ("Evri", "EV"),
    ("DPD", "DP"),
    ("Yodel", "YD"),
    ("Parcelforce", "PF"),
    ("UPS", "UP"),
)

TROUBLES = (
    "the van broke down on the way",
    "bad weather is slowing the roads down",
    "the address could not be found, and the driver will try again",
    "nobody was in, and the driver will try again",
    "it is waiting at the depot because of a backlog",
    "the label was damaged and had to be printed again",
)

# (what, pence)
GOODS = (
    ("a kettle", 3499),
    ("a desk lamp", 2750),
    ("walking boots", 8900),
    ("a wool blanket", 5400),
    ("a teapot", 2200),
    ("a rain jacket", 7950),
    ("a set of mugs", 1850),
    ("a bookshelf", 12900),
    ("a garden spade", 2995),
    ("a toaster", 3999),
    ("running shoes", 7499),
    ("a cast-iron pan", 4650),
    ("bed linen", 5999),
    ("a backpack", 4800),
    ("a bicycle pump", 1999),
    ("a coffee grinder", 6900),
    ("a pair of cushions", 2400),
    ("a wall clock", 3150),
    ("an umbrella", 1800),
    ("a chess set", 3600),
    ("a picnic basket", 4450),
    ("a floor lamp", 8500),
    ("a doormat", 1650),
    ("a radio", 9900),
)
