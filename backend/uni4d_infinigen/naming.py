"""What each of Infinigen's factories makes, in plain English; needs nothing but Python.

``OBJECTS`` lists the factories that make one thing a person has a word for: its name, other words for it,
and how many seeds at most are worth their time. ``SKIPPED`` says of every other factory why it is left out.
Both are keyed by ``module.Class`` below ``infinigen.assets.objects``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OBJECTS", "SKIPPED", "VARIANTS", "Naming", "naming_of"]


@dataclass(frozen=True)
class Naming:
    """The name of what a factory makes, with further words for it."""

    name: str
    tags: tuple[str, ...] = ()
    most_seeds: int = 1_000
    """How many of them are worth their time."""

    @property
    def slow(self) -> bool:
        """Whether one takes tens of seconds."""
        return self.most_seeds < 1_000


def _table(text: str) -> dict[str, Naming]:
    """Lines ``module.Class | name | tag, tag | most seeds``; the last two may be left out."""
    table = {}
    for line in text.strip().splitlines():
        factory, name, *more = (part.strip() for part in line.split("|"))
        tags = tuple(tag.strip() for tag in more[0].split(",") if tag.strip()) if more else ()
        table[factory] = Naming(name, tags, int(more[1])) if len(more) > 1 else Naming(name, tags)
    return table


OBJECTS = _table("""
appliances.beverage_fridge.BeverageFridgeFactory | beverage fridge | refrigerator, drinks cooler, appliance
appliances.dishwasher.DishwasherFactory | dishwasher | kitchen appliance
appliances.microwave.MicrowaveFactory | microwave oven | microwave, kitchen appliance
appliances.oven.OvenFactory | oven | stove, cooker, kitchen appliance
appliances.toaster.ToasterFactory | toaster | bread toaster, kitchen appliance
appliances.tv.MonitorFactory | computer monitor | screen, display
appliances.tv.TVFactory | television | TV, flat screen
bathroom.bathroom_sink.BathroomSinkFactory | bathroom sink | washbasin, lavatory
bathroom.bathroom_sink.StandingSinkFactory | pedestal sink | washbasin, bathroom
bathroom.bathtub.BathtubFactory | bathtub | bath, tub, bathroom
bathroom.hardware.HardwareFactory | bathroom hardware | towel rail, hook
bathroom.toilet.ToiletFactory | toilet | lavatory, WC, bathroom
cactus.generate.ColumnarCactusFactory | columnar cactus | saguaro, desert plant, succulent
cactus.generate.GlobularCactusFactory | barrel cactus | round cactus, desert plant, succulent
cactus.generate.PrickyPearCactusFactory | prickly pear cactus | opuntia, desert plant, succulent
clothes.blanket.BlanketFactory | blanket | throw, bedding
clothes.blanket.BoxComforterFactory | quilted comforter | duvet, quilt, bedding
clothes.blanket.ComforterFactory | comforter | duvet, quilt, bedding
clothes.pants.PantsFactory | trousers | pants, clothes
clothes.shirt.ShirtFactory | shirt | top, clothes
clothes.towel.TowelFactory | towel | bath towel, cloth
cloud.generate.CumulusFactory | cloud | cumulus, sky | 2
corals.generate.BrainCoralFactory | brain coral | reef, sea | 3
corals.generate.BushCoralFactory | bush coral | branching coral, reef, sea | 3
corals.generate.CauliflowerCoralFactory | cauliflower coral | reef, sea | 3
corals.generate.ElkhornCoralFactory | elkhorn coral | reef, sea | 3
corals.generate.FanCoralFactory | fan coral | sea fan, gorgonian, reef | 3
corals.generate.HoneycombCoralFactory | honeycomb coral | reef, sea | 3
corals.generate.LeatherCoralFactory | leather coral | soft coral, reef, sea | 3
corals.generate.StarCoralFactory | star coral | reef, sea | 3
corals.generate.TableCoralFactory | table coral | plate coral, reef, sea | 3
corals.generate.TubeCoralFactory | tube coral | tube sponge, reef, sea | 3
corals.generate.TwigCoralFactory | twig coral | branching coral, reef, sea | 3
creatures.beetle.BeetleFactory | beetle | bug, insect, animal | 4
creatures.bird.BirdFactory | bird | duck, animal | 4
creatures.bird.FlyingBirdFactory | flying bird | bird with spread wings, animal | 4
creatures.carnivore.CarnivoreFactory | big cat | tiger, wolf, predator, four-legged animal | 4
creatures.crustacean.CrabFactory | crab | crustacean, sea animal | 4
creatures.crustacean.LobsterFactory | lobster | crustacean, sea animal | 4
creatures.crustacean.SpinyLobsterFactory | spiny lobster | crayfish, crustacean, sea animal | 4
creatures.fish.FishFactory | fish | sea animal | 4
creatures.herbivore.HerbivoreFactory | deer | antelope, hoofed animal, four-legged animal | 4
creatures.insects.dragonfly.DragonflyFactory | dragonfly | insect, animal | 4
creatures.jellyfish.JellyfishFactory | jellyfish | medusa, sea animal | 10
creatures.reptile.ChameleonFactory | chameleon | lizard, reptile | 4
creatures.reptile.FrogFactory | frog | toad, amphibian, animal | 4
creatures.reptile.LizardFactory | lizard | reptile, gecko, animal | 4
creatures.reptile.SnakeFactory | snake | serpent, reptile, animal | 4
deformed_trees.fallen.FallenTreeFactory | fallen tree | log, trunk, dead wood | 4
deformed_trees.hollow.HollowTreeFactory | hollow tree trunk | dead tree, stump | 4
deformed_trees.rotten.RottenTreeFactory | rotten tree trunk | dead tree | 4
deformed_trees.truncated.TruncatedTreeFactory | tree stump | cut trunk | 4
elements.doors.lite.LiteDoorFactory | glazed door | door with windows, doorway
elements.doors.louver.LouverDoorFactory | louvered door | slatted door, shutter door
elements.doors.panel.GlassPanelDoorFactory | glass panel door | door with glass
elements.doors.panel.PanelDoorFactory | panel door | wooden door, doorway
elements.pillars.PillarFactory | pillar | column, post
elements.rug.RugFactory | rug | carpet, mat
elements.staircases.cantilever.CantileverStaircaseFactory | cantilever staircase | floating stairs, steps
elements.staircases.curved.CurvedStaircaseFactory | curved staircase | stairs, steps
elements.staircases.l_shaped.LShapedStaircaseFactory | L-shaped staircase | stairs with a landing, steps
elements.staircases.spiral.SpiralStaircaseFactory | spiral staircase | winding stairs, steps
elements.staircases.straight.StraightStaircaseFactory | staircase | straight stairs, steps
elements.staircases.u_shaped.UShapedStaircaseFactory | U-shaped staircase | stairs with a landing, steps
elements.warehouses.pallet.PalletFactory | wooden pallet | shipping pallet, skid
elements.warehouses.rack.RackFactory | warehouse rack | pallet rack, storage shelves
fruits.apple.FruitFactoryApple | apple | fruit, food
fruits.blackberry.FruitFactoryBlackberry | blackberry | berry, fruit, food
fruits.coconutgreen.FruitFactoryCoconutgreen | green coconut | fruit, food
fruits.coconuthairy.FruitFactoryCoconuthairy | coconut | brown hairy coconut, fruit, food
fruits.durian.FruitFactoryDurian | durian | spiky fruit, food
fruits.pineapple.FruitFactoryPineapple | pineapple | fruit, food
fruits.starfruit.FruitFactoryStarfruit | star fruit | carambola, fruit, food
fruits.strawberry.FruitFactoryStrawberry | strawberry | berry, fruit, food
grassland.dandelion.DandelionFactory | dandelion | seed head, flower, plant | 6
grassland.dandelion.DandelionSeedFactory | dandelion seed | seed with parachute | 6
grassland.flower.FlowerFactory | flower | blossom, flower head | 6
grassland.flowerplant.FlowerPlantFactory | flowering plant | flower, wildflower | 6
grassland.grass_tuft.GrassTuftFactory | tuft of grass | grass, plant | 6
lamp.ceiling_classic_lamp.CeilingClassicLampFactory | pendant lamp | hanging lamp, ceiling lamp
lamp.ceiling_lights.CeilingLightFactory | ceiling light | round ceiling lamp
lamp.lamp.DeskLampFactory | table lamp | desk lamp, bedside lamp
lamp.lamp.FloorLampFactory | floor lamp | standing lamp
leaves.leaf_broadleaf.LeafFactoryBroadleaf | broad leaf | leaf, foliage | 8
leaves.leaf_ginko.LeafFactoryGinko | ginkgo leaf | leaf, foliage
leaves.leaf_maple.LeafFactoryMaple | maple leaf | leaf, foliage | 8
leaves.leaf_pine.LeafFactoryPine | pine twig | pine needles, conifer
leaves.leaf_v2.LeafFactoryV2 | leaf | foliage
leaves.leaf_wrapped.LeafFactoryWrapped | curled leaf | leaf, foliage
mollusk.generate.AugerFactory | auger shell | long spiral seashell
mollusk.generate.ClamFactory | clam shell | bivalve, seashell
mollusk.generate.ConchFactory | conch shell | sea snail, seashell
mollusk.generate.MusselFactory | mussel shell | bivalve, seashell
mollusk.generate.NautilusFactory | nautilus shell | spiral seashell
mollusk.generate.ScallopFactory | scallop shell | bivalve, seashell
mollusk.generate.VoluteFactory | volute shell | sea snail, seashell
monocot.agave.AgaveMonocotFactory | agave | succulent, desert plant | 6
monocot.banana.BananaMonocotFactory | banana plant | tropical plant | 6
monocot.banana.TaroMonocotFactory | taro plant | elephant ear, tropical plant | 6
monocot.grasses.GrassesMonocotFactory | grass | tall grass, plant | 6
monocot.grasses.MaizeMonocotFactory | maize plant | corn, crop | 6
monocot.grasses.ReedMonocotFactory | reed | reeds, water plant | 6
monocot.grasses.WheatMonocotFactory | wheat | cereal plant, crop | 6
monocot.grasses.WheatEarMonocotFactory | ear of wheat | cereal, grain | 6
monocot.kelp.KelpMonocotFactory | kelp | seaweed, sea plant | 6
monocot.pinecone.PineconeFactory | pine cone | conifer cone, fir cone | 6
monocot.tussock.TussockMonocotFactory | tussock grass | bunch of grass, plant | 6
monocot.veratrum.VeratrumMonocotFactory | veratrum | false hellebore, wild plant | 6
mushroom.generate.MushroomFactory | cluster of mushrooms | fungi, toadstools | 6
mushroom.growth.MushroomGrowthFactory | mushroom | toadstool, fungus | 6
organizer.basket.BasketBaseFactory | basket | storage basket, crate
organizer.hook.SpatulaOnHookBaseFactory | wall hooks | hook rail, coat hooks
rocks.boulder.BoulderFactory | boulder | rock, stone
seating.bed.BedFactory | bed | bedroom furniture, sleeping | 6
seating.bedframe.BedFrameFactory | bed frame | bedstead, bedroom furniture
seating.chairs.bar_chair.BarChairFactory | bar stool | bar chair, high chair, seat
seating.chairs.chair.ChairFactory | chair | dining chair, seat
seating.chairs.office_chair.OfficeChairFactory | office chair | swivel chair, desk chair, seat
seating.mattress.MattressFactory | mattress | bedding
seating.pillow.PillowFactory | pillow | cushion
seating.sofa.ArmChairFactory | armchair | easy chair, upholstered seat
seating.sofa.SofaFactory | sofa | couch, settee
shelves.cabinet.CabinetFactory | cabinet | cupboard with doors, storage
shelves.cabinet.CabinetDoorBaseFactory | cabinet door | cupboard door
shelves.cell_shelf.CellShelfFactory | cube shelf | shelving unit, storage
shelves.cell_shelf.TVStandFactory | TV stand | media console, low shelf
shelves.kitchen_cabinet.KitchenCabinetFactory | kitchen cabinet | kitchen units, cupboards
shelves.kitchen_space.KitchenIslandFactory | kitchen island | kitchen counter
shelves.kitchen_space.KitchenSpaceFactory | fitted kitchen | kitchenette, kitchen counter with cabinets
shelves.large_shelf.LargeShelfFactory | large shelf | shelving unit, bookcase
shelves.simple_bookcase.SimpleBookcaseFactory | bookcase | bookshelf
shelves.simple_desk.SidetableDeskFactory | small square table | side table, nightstand
shelves.simple_desk.SimpleDeskFactory | desk | writing table, work table
shelves.single_cabinet.SingleCabinetFactory | single cabinet | cupboard, storage
shelves.triangle_shelf.TriangleShelfFactory | corner shelf | triangular shelf
small_plants.fern.FernFactory | fern | forest plant
small_plants.num_leaf_grass.NumLeafGrassFactory | clover | three-leaved plant, small plant
small_plants.snake_plant.SnakePlantFactory | snake plant | sansevieria, houseplant
small_plants.spider_plant.SpiderPlantFactory | spider plant | houseplant
small_plants.succulent.SucculentFactory | succulent | rosette plant, houseplant
table_decorations.book.BookColumnFactory | row of books | books
table_decorations.book.BookFactory | book | reading
table_decorations.book.BookStackFactory | stack of books | pile of books
table_decorations.sink.SinkFactory | kitchen sink | sink basin with tap
table_decorations.sink.TapFactory | tap | faucet, water tap
table_decorations.vase.VaseFactory | vase | flower vase, vessel
tables.cocktail_table.TableCocktailFactory | cocktail table | bar table, high table
tables.dining_table.CoffeeTableFactory | coffee table | low table
tables.dining_table.SideTableFactory | side table | end table, small table
tables.dining_table.TableDiningFactory | dining table | table
tableware.bottle.BottleFactory | bottle | wine bottle, drink
tableware.bowl.BowlFactory | bowl | dish, tableware
tableware.can.CanFactory | tin can | food can, tin
tableware.chopsticks.ChopsticksFactory | chopsticks | cutlery, tableware
tableware.cup.CupFactory | cup | mug, coffee cup
tableware.food_bag.FoodBagFactory | food bag | bag of crisps, snack packet
tableware.food_box.FoodBoxFactory | food box | cereal box, carton
tableware.fork.ForkFactory | fork | cutlery, tableware
tableware.fork.SpatulaFactory | spatula | turner, kitchen tool
tableware.fruit_container.FruitContainerFactory | fruit bowl | bowl of fruit | 4
tableware.jar.JarFactory | jar | glass jar, storage jar | 12
tableware.knife.KnifeFactory | knife | cutlery, kitchen knife
tableware.lid.LidFactory | pot lid | lid, cover
tableware.pan.PanFactory | frying pan | pan, skillet, cookware
tableware.plant_container.LargePlantContainerFactory | large potted plant | houseplant in a pot, planter | 6
tableware.plant_container.PlantContainerFactory | potted plant | houseplant in a pot, flowerpot | 6
tableware.plant_container.PlantPotFactory | flowerpot | plant pot, planter
tableware.plate.PlateFactory | plate | dish, tableware
tableware.pot.PotFactory | cooking pot | saucepan, cookware
tableware.spoon.SpoonFactory | spoon | cutlery, tableware
tableware.wineglass.WineglassFactory | wine glass | goblet, stemware
trees.generate.BushFactory | bush | shrub, plant | 4
trees.generate.TreeFactory | tree | plant | 4
trees.tree_flower.TreeFlowerFactory | tree blossom | flower | 4
tropic_plants.coconut_tree.CoconutTreeFactory | coconut palm | palm tree, tropical tree | 4
tropic_plants.leaf_banana_tree.LeafBananaTreeFactory | banana leaf | tropical leaf | 4
tropic_plants.leaf_banana_tree.PlantBananaTreeFactory | banana tree | tropical plant | 4
tropic_plants.leaf_palm_plant.LeafPalmPlantFactory | palm leaf | fan palm leaf, tropical leaf | 4
tropic_plants.leaf_palm_tree.LeafPalmTreeFactory | palm frond | palm leaf, tropical leaf | 4
tropic_plants.palm_tree.PalmTreeFactory | palm tree | tropical tree | 4
underwater.seaweed.SeaweedFactory | seaweed | sea plant, algae
underwater.urchin.UrchinFactory | sea urchin | spiny sea animal
wall_decorations.balloon.BalloonFactory | foil balloon | letter balloon, party decoration | 4
wall_decorations.range_hood.RangeHoodFactory | range hood | extractor hood, kitchen appliance
wall_decorations.wall_art.MirrorFactory | wall mirror | mirror, looking glass
wall_decorations.wall_art.WallArtFactory | framed picture | painting, wall art
wall_decorations.wall_shelf.WallShelfFactory | wall shelf | shelf board
windows.window.WindowFactory | window | window with frame
""")

VARIANTS = {
    "bathroom.hardware.HardwareFactory": (
        "hardware_type",
        {
            "hook": Naming("towel hook", ("robe hook", "bathroom hardware")),
            "holder": Naming("toilet paper holder", ("toilet roll holder", "bathroom hardware")),
            "bar": Naming("towel rail", ("towel bar", "bathroom hardware")),
            "ring": Naming("towel ring", ("bathroom hardware",)),
        },
    ),
    "clothes.pants.PantsFactory": (
        "type",
        {
            "underwear": Naming("underpants", ("briefs", "underwear", "clothes")),
            "shorts": Naming("shorts", ("short trousers", "clothes")),
            "pants": Naming("trousers", ("pants", "clothes")),
        },
    ),
    "clothes.shirt.ShirtFactory": (
        "type",
        {
            "short": Naming("T-shirt", ("short-sleeved shirt", "top", "clothes")),
            "long": Naming("long-sleeved shirt", ("sweater", "top", "clothes")),
        },
    ),
    "clothes.towel.TowelFactory": (
        "fold_type",
        {
            "fold": Naming("folded towel", ("bath towel", "cloth")),
            "roll": Naming("rolled towel", ("bath towel", "cloth")),
        },
    ),
}
"""Factories that make one of several things: the attribute that tells which, and the names by its value."""


def naming_of(factory: str, variant: str = "") -> Naming:
    """What an object of ``factory`` is called; ``variant`` is the value of its attribute in ``VARIANTS``."""
    if variant and factory in VARIANTS:
        return VARIANTS[factory][1].get(variant, OBJECTS[factory])
    return OBJECTS[factory]


def _reasons(table: dict[str, str]) -> dict[str, str]:
    """From reasons with lists of factories to factories with their reason."""
    return {factory: reason for reason, factories in table.items() for factory in factories.split()}


SKIPPED = _reasons(
    {
        "another factory makes the same with its material": """
            cactus.columnar.ColumnarBaseCactusFactory cactus.globular.GlobularBaseCactusFactory
            cactus.kalidium.KalidiumBaseCactusFactory cactus.pricky_pear.PrickyPearBaseCactusFactory
            corals.diff_growth.DiffGrowthBaseCoralFactory corals.diff_growth.LeatherBaseCoralFactory
            corals.diff_growth.TableBaseCoralFactory corals.elkhorn.ElkhornBaseCoralFactory
            corals.fan.FanBaseCoralFactory corals.laplacian.CauliflowerBaseCoralFactory
            corals.reaction_diffusion.BrainBaseCoralFactory
            corals.reaction_diffusion.HoneycombBaseCoralFactory
            corals.reaction_diffusion.ReactionDiffusionBaseCoralFactory corals.star.StarBaseCoralFactory
            corals.tree.BushBaseCoralFactory corals.tree.TreeBaseCoralFactory
            corals.tree.TwigBaseCoralFactory corals.tube.TubeBaseCoralFactory lamp.lamp.LampFactory
            mollusk.shell.ClamBaseFactory mollusk.shell.MusselBaseFactory mollusk.shell.ScallopBaseFactory
            mollusk.shell.ShellBaseFactory mollusk.snail.AugerBaseFactory mollusk.snail.ConchBaseFactory
            mollusk.snail.NautilusBaseFactory mollusk.snail.SnailBaseFactory
            mollusk.snail.VoluteBaseFactory organizer.plate_rack.PlateOnRackBaseFactory
            shelves.cabinet.CabinetBaseFactory shelves.cabinet.CabinetDoorIkeaFactory
            shelves.cell_shelf.CellShelfBaseFactory shelves.doors.CabinetDoorBaseFactory
            shelves.kitchen_cabinet.KitchenCabinetBaseFactory shelves.large_shelf.LargeShelfBaseFactory
            shelves.simple_bookcase.SimpleBookcaseBaseFactory shelves.simple_desk.SimpleDeskBaseFactory
            shelves.single_cabinet.SingleCabinetBaseFactory shelves.triangle_shelf.TriangleShelfBaseFactory
            """,
        "it draws one of several other factories": """
            cactus.generate.CactusFactory cloud.generate.CloudFactory corals.generate.CoralFactory
            deformed_trees.generate.DeformedTreeFactory elements.doors.DoorFactory
            elements.nature_shelf_trinkets.generate.NatureShelfTrinketsFactory
            elements.staircases.generate.StaircaseFactory fruits.compositional_fruit.FruitFactoryCompositional
            mollusk.generate.MolluskFactory monocot.generate.MonocotFactory
            """,
        "a base class that makes nothing by itself": """
            cactus.base.BaseCactusFactory corals.base.BaseCoralFactory
            creatures.crustacean.CrustaceanFactory creatures.util.boid_swarm.BoidSwarmFactory
            deformed_trees.base.BaseDeformedTreeFactory elements.doors.base.BaseDoorFactory
            fruits.general_fruit.FruitFactoryGeneralFruit mollusk.base.BaseMolluskFactory
            monocot.growth.MonocotGrowthFactory tableware.base.TablewareFactory
            trees.generate.GenericTreeFactory
            """,
        "many things and not one": "creatures.beetle.AntSwarmFactory creatures.fish.FishSchoolFactory",
        "a part that nobody has a word for": """
            elements.doors.casing.DoorCasingFactory leaves.leaf.LeafFactory
            monocot.grasses.ReedBranchMonocotFactory monocot.grasses.ReedEarMonocotFactory
            monocot.veratrum.VeratrumBranchMonocotFactory monocot.veratrum.VeratrumEarMonocotFactory
            mushroom.cap.MushroomCapFactory mushroom.stem.MushroomStemFactory
            organizer.hook.SpatulaBaseFactory organizer.plate_rack.PlateBaseFactory
            particles.lichen.LichenFactory particles.moss.MossFactory particles.particles.DustMoteFactory
            particles.particles.RaindropFactory particles.particles.SnowflakeFactory
            particles.pine_needle.PineNeedleFactory tables.table_top.TableTopFactory
            trees.branch.BranchFactory
            """,
        "it comes without a material": """
            small_plants.leaf_general.LeafFactory small_plants.leaf_heart.LeafHeartFactory
            """,
        "what it is shows only through its glass": "decor.aquarium_tank.AquariumTankFactory",
        "it needs a Blender extension from the internet": """
            rocks.blender_rock.BlenderRockFactory rocks.glowing_rocks.GlowingRocksFactory
            """,
        "it fails by itself in this version": """
            cactus.generate.KalidiumCactusFactory organizer.hook.HookBaseFactory
            organizer.plate_rack.PlateRackBaseFactory rocks.pile.BoulderPileFactory
            shelves.countertop.CountertopFactory shelves.drawers.CabinetDrawerBaseFactory
            """,
        "a cloud is a volume, and its hull looks alike in all kinds": """
            cloud.generate.AltocumulusFactory cloud.generate.CumulonimbusFactory
            cloud.generate.StratocumulusFactory
            """,
    }
)
